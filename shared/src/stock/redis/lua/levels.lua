-- How much there is of a sale.
--
-- ARGV   none besides the run id
-- Reply  levels, epoch, then for each tier in the order of the sale: tier, capacity, free, held, pinned, sold
--        unknown | again

local refused = enter()
if refused then
  return refused
end

local reply = { 'levels', epoch() }
for tier in string.gmatch(call('HGET', SALE, 'tiers') or '', '[^,]+') do
  local shelves = { 'capacity:' .. tier, 'free:' .. tier, 'held:' .. tier, 'pinned:' .. tier, 'sold:' .. tier }
  reply[#reply + 1] = tier
  for _, units in ipairs(call('HMGET', SALE, unpack(shelves))) do
    reply[#reply + 1] = units
  end
end
return reply
