-- KEYS: agent, blob. ARGV: first byte, last byte.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return { 'none' }
end
local len = redis.call('STRLEN', KEYS[2])
if tonumber(ARGV[2]) < tonumber(ARGV[1]) then
  return { 'part', len, '' }
end
return { 'part', len, redis.call('GETRANGE', KEYS[2], ARGV[1], ARGV[2]) }
