-- Counts one more, unless it is too many (GCRA).
--
-- KEYS   who is counted
-- ARGV   µs in which one more is allowed; how many at once
-- reply  0 when it is allowed, else in how many µs it will be

local every, burst = assert(tonumber(ARGV[1])), assert(tonumber(ARGV[2]))
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- When the next one would be due, if they came evenly.
local due = math.max(now, tonumber(redis.call('GET', KEYS[1])) or 0)
local allowed_at = due - every * (burst - 1)
if allowed_at > now then return allowed_at - now end
local next = due + every
redis.call('SET', KEYS[1], string.format('%d', next), 'PX', math.ceil((next - now) / 1000))
return 0
