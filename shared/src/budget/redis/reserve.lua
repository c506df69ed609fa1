-- Takes slots of an endpoint and of the total.
-- KEYS: 1 the books
-- ARGV: 1 endpoint, 2 its limit, 3 the total's limit (0: none), 4 most slots, 5 whether slots of the total may be taken
--       ahead (1), 6 patience in µs
-- Reply: {'unlimited'}, {'slots', µs until the first, µs between two, how many}, or {'later', µs until there are any}

local own_limit, total_limit = assert(tonumber(ARGV[2])), assert(tonumber(ARGV[3]))
local most, ahead, patience = assert(tonumber(ARGV[4])), ARGV[5] == '1', assert(tonumber(ARGV[6]))
local begun = born()
local e, t = entry(ARGV[1]), entry('total')
local own, all = allowed(e, own_limit), allowed(t, total_limit)
if not own and not all then return { 'unlimited' } end

local own_gap, all_gap = own and gap(own), all and gap(all)
local widest = math.max(own_gap or 0, all_gap or 0)
local total = all_gap and first(t, all_gap, begun)
-- Who takes nothing ahead leaves one for those who do.
if total and total + all_gap > now and not ahead then return { 'later', total + all_gap - now } end
-- What the total has missed is nothing that an endpoint could make up for.
local slot = own_gap and first(e, own_gap, begun) or 0
if total and (not own_gap or total > now) then slot = math.max(slot, total) end
local wait = math.max(slot - now, 0)
if wait > patience then return { 'later', wait } end

local count = math.min(math.max(most, 1), math.max(math.floor(LOT / widest), 1))
if own_gap then redis.call('HSET', KEY, e.name .. ':next', text(slot + count * own_gap)) end
if all_gap then redis.call('HSET', KEY, 'total:next', text(total + count * all_gap)) end
redis.call('HINCRBY', KEY, e.name .. ':taken', count)
redis.call('HINCRBY', KEY, 'total:taken', count)
redis.call('PEXPIRE', KEY, KEPT_MS)
return { 'slots', wait, widest, count }
