-- KEYS: last mark, names, marks of names, unfinished. ARGV: agent, mark, whether the name goes as well.
-- What was marked anew since stays.
if redis.call('HGET', KEYS[4], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[4], ARGV[1])
end
if ARGV[3] == '1' and redis.call('HGET', KEYS[3], ARGV[1]) == ARGV[2] then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
end
return { 'dropped' }
