-- KEYS: agent, names of blobs, blob. ARGV: epoch, name, length, largest length, most blobs, bytes.
local refused = fenced(ARGV[1])
if refused then
  return refused
end
if number('seq') == 0 then
  return { 'conflict' }
end
local others = redis.call('SCARD', KEYS[2]) - redis.call('SISMEMBER', KEYS[2], ARGV[2])
if tonumber(ARGV[3]) > tonumber(ARGV[4]) or others >= tonumber(ARGV[5]) then
  return { 'no room', others }
end
redis.call('SET', KEYS[3], ARGV[6])
redis.call('SADD', KEYS[2], ARGV[2])
return { 'kept' }
