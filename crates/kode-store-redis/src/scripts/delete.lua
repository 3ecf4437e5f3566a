-- KEYS: agent, log, checkpoint, names of blobs. ARGV: epoch, this very request, what blobs' keys begin with (their
-- names are known here alone, and they are in the agent's own slot), what to publish with and where.
local refused = fenced(ARGV[1])
if refused then
  local mark = redis.call('HGET', agent, 'settled')
  if redis.call('HGET', agent, 'request') == ARGV[2] then
    return { 'deleted', mark }
  end
  return refused
end
local mark = redis.call('HGET', agent, 'mark')
for _, name in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  redis.call('UNLINK', ARGV[3] .. name)
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
redis.call('HDEL', agent, 'seq', 'epoch', 'cursor', 'covered', 'lease', 'holder', 'expires', 'mark')
redis.call('HSET', agent, 'settled', mark, 'request', ARGV[2])
wake(ARGV[4], ARGV[5])
return { 'deleted', mark }
