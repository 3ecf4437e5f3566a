-- KEYS: agent, log. ARGV: epoch, then first seq, last seq and entry of each run in turn.
local refused = fenced(ARGV[1])
if refused then
  return refused
end
local log, covered, stop = KEYS[2], number('covered'), 0
for at = 2, #ARGV, 3 do
  local from, seq = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if from <= stop or seq < from or seq > covered then
    return { 'conflict', seq, covered }
  end
  stop = seq
end
for at = 2, #ARGV, 3 do
  local from, seq = ARGV[at], ARGV[at + 1]
  local before = redis.call('ZREVRANGEBYSCORE', log, '(' .. from, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local follows = tonumber(before[2] or '0') + 1 == tonumber(from)
  if follows and redis.call('ZCOUNT', log, seq, seq) == 1 then
    redis.call('ZREMRANGEBYSCORE', log, from, seq)
    redis.call('ZADD', log, seq, ARGV[at + 2])
  end
end
return { 'elided' }
