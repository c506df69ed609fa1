-- What the scripts of a rebuild share. A rebuild writes beside what is there, in several calls, and takes its place in
-- the last one; until then the sale is not known, and a half-written rebuild is nothing but keys that the next one
-- throws away.
--
-- KEYS   besides those of the sale: 8 new sale, 9 new holds, 10 new lone, 11 new ended, 12 new units
-- ARGV   2 the rebuild's own token
-- Reply  overtaken    another rebuild has begun since, or this one began on another server process, which may have had
--                     parts of it that this one has not

local NEW_SALE, NEW_HOLDS, NEW_LONE, NEW_ENDED, NEW_UNITS = unpack(KEYS, 8, 12)
local TOKEN = ARGV[2]

if #KEYS ~= 12 or not is_id(TOKEN) then
  return nonsense('rebuild')
end

-- By what it is known: who goes on with a rebuild, and on which server process.
local THIS = TOKEN .. '@' .. RUN

-- Goes on with a rebuild, and keeps others from beginning one meanwhile.
local function go_on()
  if call('HGET', SALE, 'rebuild') ~= THIS then
    return { 'overtaken' }
  end
  call('HSET', SALE, 'begun', now)
  return nil
end
