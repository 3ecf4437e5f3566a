-- KEYS: last mark, names, marks of names, unfinished. ARGV: agent, a mark that is too low.
-- A mark never comes twice: it is above every one before, above this server's clock, and above what it is told.
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local mark = string.format('%.0f', math.max(micros, last + 1, tonumber(ARGV[2]) + 1))
-- What is no agent yet may be one to be deleted: it is named also by a server that is full (see the prelude).
redis.call('HDEL', KEYS[4], '')
redis.call('SET', KEYS[1], mark)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], mark)
redis.call('HSET', KEYS[4], ARGV[1], mark)
return { 'marked', mark, math.floor(micros / 1000) }
