-- KEYS: agent, log. ARGV: epoch, expected seq, this very request, last seq, last cursor, first and last epoch of the
-- entries, what to publish with and where, then seq and entry in turn.
local refused = fenced(ARGV[1])
if refused then
  return refused
end
local head = number('seq')
if head ~= tonumber(ARGV[2]) then
  -- The same request, sent once more by a client that did not see the answer.
  if redis.call('HGET', agent, 'request') == ARGV[3] then
    return { 'appended' }
  end
  return { 'conflict', head }
end
if #ARGV > 9 then
  if tonumber(ARGV[6]) < number('epoch') then
    return { 'falls', number('epoch') }
  end
  for first = 10, #ARGV, 1000 do
    redis.call('ZADD', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))
  end
  redis.call('HSET', agent, 'seq', ARGV[4], 'epoch', ARGV[7], 'cursor', ARGV[5], 'request', ARGV[3])
  wake(ARGV[8], ARGV[9])
end
return { 'appended' }
