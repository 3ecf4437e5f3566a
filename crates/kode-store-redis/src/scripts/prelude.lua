-- What every script over one agent begins with. KEYS[1] is the agent's hash.
local agent = KEYS[1]

local function number(name)
  return tonumber(redis.call('HGET', agent, name) or '0')
end

-- Milliseconds of this server's clock, the only one that leases end by.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The refusal of an epoch that is not the one in force; none in force tells the epoch itself.
local function fenced(epoch)
  local lease = redis.call('HGET', agent, 'lease')
  if lease ~= epoch then
    return { 'fenced', tonumber(lease or epoch) }
  end
end

-- A server that is out of memory refuses a script's first write alone, and only of the kind that takes memory. This
-- one takes none and changes nothing: so what gives memory back, or must go on, goes on.
local function even_when_full(key)
  redis.call('HDEL', key, '')
end

-- Tells those who watch the agent that it moved: a hint, that may be refused and changes nothing. No command, no hint.
local function wake(command, channel)
  if command ~= '' then
    redis.pcall(command, channel, '')
  end
end

local function text(value)
  return string.format('%.0f', value)
end
