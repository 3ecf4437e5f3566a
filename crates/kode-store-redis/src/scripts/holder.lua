-- KEYS: agent.
local lease, holder, expires = unpack(redis.call('HMGET', agent, 'lease', 'holder', 'expires'))
local left = lease and tonumber(expires) - now() or 0
if left <= 0 then
  return { 'free' }
end
return { 'held', tonumber(lease), left, holder }
