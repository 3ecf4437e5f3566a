-- KEYS: nodes. ARGV: id, url, ttl, mark without spaces. Those whose time is over go, so that nothing piles up.
local told = redis.call('HGETALL', KEYS[1])
for at = 1, #told, 2 do
  if tonumber(string.match(told[at + 1], '^%d+')) <= now() then
    redis.call('HDEL', KEYS[1], told[at])
  end
end
even_when_full(KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], text(now() + ARGV[3]) .. ' ' .. ARGV[4] .. ' ' .. ARGV[2])
return { 'announced' }
