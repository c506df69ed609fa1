-- Claims units of all tiers, or of none.
--
-- ARGV   2 hold, 3 customer, 4 order to pin it to or '', 5 thinking time in ms, 6 most unpaid holds of one customer,
--        7 currency, 8 units ('std=2,vip=1'), 9 items (JSON)
-- Reply  held, 1 if by this call, epoch, thinking time left, order or '', currency
--        sold_out, tier | limit, tier | too_many | taken | unknown | again

local id, customer, order, think, most, currency, units_text, items = unpack(ARGV, 2, 9)
local units = units_in(units_text)
if #ARGV ~= 9 or not is_id(id) or not is_id(customer) or order ~= '' and not is_id(order) then
  return nonsense('id')
elseif not is_count(think) or not is_count(most) then
  return nonsense('number')
elseif not units or #units == 0 then
  return nonsense('units')
elseif not string.find(currency, '^%l%l%l$') or not string.find(items, '^%[.+%]$') then
  return nonsense('items')
end

local refused = enter()
if refused then
  return refused
end

local known = find(id)
if known then
  local alive = known.stage == 'thinking' or known.stage == 'pinned'
  local same = alive and known.customer == customer and known.items == items and (order == '' or known.order == order)
  if not same then
    return { 'taken' }
  end
  if order ~= '' then
    call('ZADD', LONE, 'XX', now, id)
  end
  return { 'held', 0, epoch(), think_left(id, known), known.order, known.currency }
end

local unpaid = order == '' and call('HGET', UNPAID, customer)
-- An id is 36 letters, and a comma is between two.
if unpaid and (#unpaid + 1) / 37 >= tonumber(most) then
  return { 'too_many' }
end

local fields = {}
for _, unit in ipairs(units) do
  fields[#fields + 1] = 'free:' .. unit.tier
  fields[#fields + 1] = 'limit:' .. unit.tier
end
local found, limited = call('HMGET', SALE, unpack(fields)), false
for i, unit in ipairs(units) do
  local free, limit = found[2 * i - 1], found[2 * i]
  if not free then
    return { 'unknown' }
  elseif tonumber(free) < unit.n then
    return { 'sold_out', unit.tier }
  elseif limit then
    limited = true
    local has = call('HGET', UNITS, unit.tier .. '|' .. customer) or '0'
    if tonumber(has) + unit.n > tonumber(limit) then
      return { 'limit', unit.tier }
    end
  end
end

move(units, 'free', 'held')
if limited then
  count(customer, units, 1)
end
local stage = order == '' and 'thinking' or 'pinned'
put(id, {
  stage = stage, customer = customer, order = order, version = '0', think = think,
  currency = currency, units = units, units_text = units_text, items = items,
}, now + tonumber(think))
return { 'held', 1, epoch(), think, order, currency }
