-- KEYS: nodes.
local told, there = redis.call('HGETALL', KEYS[1]), { 'nodes' }
for at = 1, #told, 2 do
  local expires, url = string.match(told[at + 1], '^(%d+) (.*)$')
  if tonumber(expires) > now() then
    table.insert(there, told[at])
    table.insert(there, url)
  end
end
return there
