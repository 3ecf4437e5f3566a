-- KEYS: agent, checkpoint. ARGV: epoch, seq, then name and content of each document in turn.
local refused = fenced(ARGV[1])
if refused then
  return refused
end
local head = number('seq')
if head == 0 or tonumber(ARGV[2]) > head then
  return { 'conflict', head }
end
redis.call('HSET', agent, 'covered', ARGV[2])
redis.call('UNLINK', KEYS[2])
for at = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
end
return { 'saved' }
