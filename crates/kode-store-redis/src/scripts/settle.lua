-- KEYS: agent. ARGV: mark. Says that nothing is meant by a mark of the index, and that no lease may be taken by it
-- later; unless there is work under some mark.
if redis.call('HEXISTS', agent, 'mark') == 1 then
  return { 'unfinished' }
end
if tonumber(ARGV[1]) > number('settled') then
  redis.call('HSET', agent, 'settled', ARGV[1])
end
return { 'settled', number('seq') }
