-- KEYS: last mark, names, marks of names, unfinished. ARGV: agent, mark. Puts back what a failover lost.
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then
  return { 'there' }
end
redis.call('HDEL', KEYS[4], '')
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])
return { 'kept' }
