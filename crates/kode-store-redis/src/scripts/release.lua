-- KEYS: agent. ARGV: epoch, whether clean. A lease that is not in force is given back without effect.
if fenced(ARGV[1]) then
  return { 'kept' }
end
redis.call('HDEL', agent, 'lease', 'holder', 'expires')
if ARGV[2] == '0' then
  return { 'kept' }
end
local mark = redis.call('HGET', agent, 'mark')
redis.call('HDEL', agent, 'mark')
redis.call('HSET', agent, 'settled', mark)
return { 'settled', mark, number('seq') }
