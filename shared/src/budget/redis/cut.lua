-- Stripe has refused: less is allowed from now on.
-- KEYS: 1 the books
-- ARGV: 1 what is cut (an endpoint, or total), 2 its limit (0: none), 3 the rate that was observed (0: not known)
-- Reply: 1 when it was cut, 0 when it was a moment ago

local limit, observed = assert(tonumber(ARGV[2])), assert(tonumber(ARGV[3]))
born()
local e = entry(ARGV[1])
redis.call('HINCRBY', KEY, e.name .. ':throttled', 1)
redis.call('PEXPIRE', KEY, KEPT_MS)
if e.cut_at and now - e.cut_at < CUT_EVERY and now >= e.cut_at then return 0 end
local floor = limit > 0 and math.min(FLOOR, limit) or FLOOR
local rate = allowed(e, limit)
if rate then
  rate = math.max(math.floor(rate * 7 / 10), floor)
else
  rate = math.max(math.floor(observed * 7 / 10), EVERYBODYS)
end
local next = math.max(e.next or now, now + gap(rate))
redis.call('HSET', KEY, e.name .. ':cut_at', text(now), e.name .. ':cut', text(rate), e.name .. ':next', text(next))
return 1
