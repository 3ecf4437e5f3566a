-- KEYS: agent. ARGV: holder, ttl, mark, coarse time as an epoch.
-- A mark that was settled is no longer in the index: it is to be made anew first.
local settled = number('settled')
if tonumber(ARGV[3]) <= settled then
  return { 'again', settled }
end
local time = now()
local lease, holder, expires = unpack(redis.call('HMGET', agent, 'lease', 'holder', 'expires'))
if lease and holder ~= ARGV[1] and tonumber(expires) > time then
  return { 'held', tonumber(expires) - time, holder }
end
-- A server that is another than at the last grant, or that has just begun, may have lost grants: those of a few
-- seconds, so the next epoch is far above any of them.
local about = redis.call('INFO', 'server')
local server = string.match(about, 'run_id:(%x+)')
local before = redis.call('HGET', agent, 'server')
local young = tonumber(string.match(about, 'uptime_in_seconds:(%d+)')) < 16
local epoch = math.max(number('granted'), number('epoch'), tonumber(ARGV[4])) + 1
if before ~= server and (before or young) then
  epoch = epoch + 1000
end
if epoch >= 536870912 then
  return { 'spent' }
end
even_when_full(agent)
redis.call('HSET', agent, 'granted', epoch, 'lease', epoch, 'holder', ARGV[1], 'expires', text(time + ARGV[2]),
  'mark', ARGV[3], 'server', server)
return { 'granted', epoch }
