-- KEYS: counts of a day. ARGV: name, how many; or name, what the count was seen to be, what it is to be.
-- The server adds in signed 64 bits; what is beyond is added by the caller, who tries again if another was quicker.
local name = ARGV[1]
if ARGV[3] then
  if (redis.call('HGET', KEYS[1], name) or '0') ~= ARGV[2] then
    return { 'changed' }
  end
  redis.call('HSET', KEYS[1], name, ARGV[3])
  redis.call('EXPIRE', KEYS[1], 259200)
  return { 'counted', ARGV[3] }
end
local added = redis.pcall('HINCRBY', KEYS[1], name, ARGV[2])
if type(added) == 'table' and added.err then
  if string.find(added.err, 'OOM') then
    return added
  end
  return { 'large', redis.call('HGET', KEYS[1], name) or '0' }
end
redis.call('EXPIRE', KEYS[1], 259200)
return { 'counted', redis.call('HGET', KEYS[1], name) }
