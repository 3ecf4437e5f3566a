-- KEYS: nodes.
local told, there = redis.call('HGETALL', KEYS[1]), { 'nodes' }
for at = 1, #told, 2 do
  local expires, url = string.match(told[at + 1], '^(%d+) %S* (.*)$')
  if tonumber(expires) > now() then
    table.insert(there, told[at])
    table.insert(there, url)
    table.insert(there, string.match(told[at + 1], '^%d+ (%S*)'))
  end
end
return there
