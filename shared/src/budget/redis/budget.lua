-- The rule of the books; shared/src/budget/book.rs says what and why. All times are in µs of this server's clock, all
-- rates in thousandths of a request a second.

local KEY = KEYS[1]
local BURST_GAPS, BURST_LEAST, LOT, EMPTY, TOO_FAR = 2, 20000, 20000, 100000, 60000000
local CUT_EVERY, FLOOR, EVERYBODYS, GROWTH, FORGOTTEN = 1000000, 1000, 25000, 50, 4
-- Books that nobody uses for a day are forgotten.
local KEPT_MS = 86400000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- A whole number as text; Lua's own form of a large one is rounded.
local function text(number)
  return string.format('%.0f', number)
end

-- When the books were begun; books that are not there begin now, and empty.
local function born()
  local at = tonumber(redis.call('HGET', KEY, 'born'))
  if not at then
    at = now + EMPTY
    redis.call('HSET', KEY, 'born', text(at))
    redis.call('PEXPIRE', KEY, KEPT_MS)
  end
  return at
end

local function entry(name)
  local found = redis.call('HMGET', KEY, name .. ':next', name .. ':cut_at', name .. ':cut')
  return { name = name, next = tonumber(found[1]), cut_at = tonumber(found[2]), cut = tonumber(found[3]) }
end

-- A limit of 0 is none; what is allowed is nil then, unless Stripe has said otherwise.
local function allowed(e, limit)
  if not e.cut then return limit > 0 and limit or nil end
  local base = limit > 0 and limit or e.cut
  local grown = e.cut + math.floor(base * math.max(now - e.cut_at, 0) / GROWTH / 1000000)
  if limit > 0 then return math.min(grown, limit) end
  if grown < e.cut * FORGOTTEN then return grown end
  return nil
end

local function gap(rate)
  return math.floor((1000000000 + rate - 1) / rate)
end

local function first(e, gap, begun)
  local burst = math.max(gap * BURST_GAPS, BURST_LEAST)
  local next = e.next
  if not next or next - now > TOO_FAR then next = begun end
  return math.max(next, now - burst, begun)
end
