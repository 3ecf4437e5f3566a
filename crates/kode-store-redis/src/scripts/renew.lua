-- KEYS: agent. ARGV: epoch, ttl.
local refused = fenced(ARGV[1])
if refused then
  return refused
end
even_when_full(agent)
redis.call('HSET', agent, 'expires', text(now() + ARGV[2]))
return { 'renewed', redis.call('HGET', agent, 'mark') }
