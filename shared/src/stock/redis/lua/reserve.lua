-- Claims units of all tiers, or of none; for each of several who ask.
--
-- ARGV   2 most unpaid holds of one customer; then for each:
--        hold, customer, order to pin it to or '', thinking time in ms, currency, units ('std=2,vip=1'), items (JSON)
-- Reply  unknown | again | each, and then for each a list:
--          held, 1 if by this call, epoch, thinking time left, order or '', currency
--          sold_out, tier | limit, tier | too_many | taken | unknown

local WIDTH = 7

local most = ARGV[2]
if not is_count(most) or #ARGV == 2 or (#ARGV - 2) % WIDTH ~= 0 then
  return nonsense('number')
end

local asked = {}
for at = 3, #ARGV, WIDTH do
  local id, customer, order, think, currency, units_text, items = unpack(ARGV, at, at + WIDTH - 1)
  local units = units_in(units_text)
  if not is_id(id) or not is_id(customer) or order ~= '' and not is_id(order) then
    return nonsense('id')
  elseif not is_count(think) then
    return nonsense('number')
  elseif not units or #units == 0 then
    return nonsense('units')
  elseif not string.find(currency, '^%l%l%l$') or not string.find(items, '^%[.+%]$') then
    return nonsense('items')
  end
  asked[#asked + 1] = {
    id = id, customer = customer, order = order, think = think, currency = currency, units = units,
    units_text = units_text, items = items,
  }
end

local refused = enter()
if refused then
  return refused
end

local now_epoch = epoch()

local function answer_again(known, ask)
  local alive = known.stage == 'thinking' or known.stage == 'pinned'
  local same = alive and known.customer == ask.customer and known.items == ask.items
  if not same or ask.order ~= '' and known.order ~= ask.order then
    return { 'taken' }
  end
  if ask.order ~= '' then
    write_gathered()
    call('ZADD', LONE, 'XX', now, ask.id)
  end
  return { 'held', 0, now_epoch, think_left(ask.id, known), known.order, known.currency }
end

return for_each(asked, function(ask)
  local known = find(ask.id)
  if known then
    return answer_again(known, ask)
  end
  local unpaid = ask.order == '' and call('HGET', UNPAID, ask.customer)
  -- An id is 36 letters, and a comma is between two.
  if unpaid and (#unpaid + 1) / 37 >= tonumber(most) then
    return { 'too_many' }
  end
  local limited = false
  for _, unit in ipairs(ask.units) do
    local free, limit = level('free:' .. unit.tier), field_of_sale('limit:' .. unit.tier)
    if not free then
      return { 'unknown' }
    elseif free < unit.n then
      return { 'sold_out', unit.tier }
    elseif limit then
      limited = true
      local has = call('HGET', UNITS, unit.tier .. '|' .. ask.customer) or '0'
      if tonumber(has) + unit.n > tonumber(limit) then
        return { 'limit', unit.tier }
      end
    end
  end
  move(ask.units, 'free', 'held')
  change('taken', 1)
  if limited then
    count(ask.customer, ask.units, 1)
  end
  local stage = ask.order == '' and 'thinking' or 'pinned'
  put(ask.id, {
    stage = stage, customer = ask.customer, order = ask.order, version = '0', think = ask.think,
    currency = ask.currency, units = ask.units, units_text = ask.units_text, items = ask.items,
  }, now + tonumber(ask.think))
  return { 'held', 1, now_epoch, ask.think, ask.order, ask.currency }
end)
