-- KEYS: agent, checkpoint.
local covered = redis.call('HGET', agent, 'covered')
if not covered then
  return { 'none' }
end
return { 'saved', tonumber(covered), redis.call('HGETALL', KEYS[2]) }
