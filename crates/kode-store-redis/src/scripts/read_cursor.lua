-- KEYS: agent, log. ARGV: cursor, limit (-1: none). The entries from the first on that tells an event above the cursor.
local log, above = KEYS[2], tonumber(ARGV[1])

-- The last cursor used up to an entry, and how many are its own. Both never fall from entry to entry.
local function told(rank)
  local entry = redis.call('ZRANGE', log, rank, rank)[1]
  local cursor, events = string.match(entry, '^{"seq":%d+,"epoch":%d+,"at":%d+,"cursor":(%d+),"events":(%d+),')
  return tonumber(cursor) + tonumber(events) - 1, tonumber(events)
end

local count = redis.call('ZCARD', log)
local low, high = 0, count
while low < high do
  local middle = math.floor((low + high) / 2)
  if told(middle) > above then
    high = middle
  else
    low = middle + 1
  end
end
-- The first of a new epoch may tell nothing.
while low < count and select(2, told(low)) == 0 do
  low = low + 1
end
local limit = tonumber(ARGV[2])
return redis.call('ZRANGE', log, low, limit < 0 and -1 or low + limit - 1)
