-- Makes the stock show what orders' states say.
--
-- ARGV   from 2 on, for each order: hold, order, the order's version, effect: pinned, sold or released,
--        how long an end is remembered, in ms
-- Reply  unknown | again | each, and then for each a list:
--          done
--          short, units, tier    so many are missing, and in pins; nothing was changed
--          returned, units, tier    so many of it are not sold any more but came back already; nothing was changed

local WIDTH = 5

-- Unpaid holds that are looked through for units of a tier. If that many hold other tiers, asking again later helps.
local MOST_LOOKED_AT, STEP = 5000, 500

if #ARGV == 1 or (#ARGV - 1) % WIDTH ~= 0 then
  return nonsense('number')
end

local told = {}
for at = 2, #ARGV, WIDTH do
  local id, order, version, effect, remember = unpack(ARGV, at, at + WIDTH - 1)
  if not is_id(id) or not is_id(order) then
    return nonsense('id')
  elseif not is_count(version) or not is_count(remember) then
    return nonsense('number')
  elseif effect ~= 'pinned' and effect ~= 'sold' and effect ~= 'released' then
    return nonsense('effect')
  end
  told[#told + 1] = { id = id, order = order, version = version, effect = effect, remember = remember }
end

-- The unpaid holds that have to end so that these units are free, the one that would last longest first; or how many
-- units of which tier are missing even so.
local function victims(units)
  local missing, short = {}, 0
  for _, unit in ipairs(units) do
    local free = level('free:' .. unit.tier)
    missing[unit.tier] = math.max(0, unit.n - free)
    short = short + missing[unit.tier]
  end
  local ends = {}
  for from = 0, MOST_LOOKED_AT - 1, STEP do
    if short > 0 then
      write_gathered()
    end
    local ids = short > 0 and call('ZREVRANGE', DEADLINES, from, from + STEP - 1) or {}
    if #ids == 0 then
      break
    end
    local lines = call('HMGET', HOLDS, unpack(ids))
    for i, other in ipairs(ids) do
      local hold, helps = read(lines[i]), false
      for _, unit in ipairs(hold and hold.units or {}) do
        helps = helps or (missing[unit.tier] or 0) > 0
      end
      if helps then
        ends[#ends + 1] = { id = other, hold = hold }
        for _, unit in ipairs(hold.units) do
          local gain = math.min(missing[unit.tier] or 0, unit.n)
          missing[unit.tier] = (missing[unit.tier] or 0) - gain
          short = short - gain
        end
      end
    end
  end
  for _, unit in ipairs(units) do
    if missing[unit.tier] > 0 then
      return nil, { 'short', missing[unit.tier], unit.tier }
    end
  end
  return ends
end

local refused = enter()
if refused then
  return refused
end
forget_ended()

return for_each(told, function(news)
  local id, version = news.id, news.version
  local hold = find(id)
  if not hold or hold.order ~= news.order or tonumber(version) <= tonumber(hold.version) then
    return { 'done' }
  end

  local from, to = SHELF[hold.stage], SHELF[news.effect]
  if from == to then
    -- Its order has spoken: it is no lone pin any more.
    take_from(LONE, id)
    hold.version = version
    write(id, hold)
    return { 'done' }
  end

  if from == 'sold' then
    for _, unit in ipairs(hold.units) do
      local sold = level('sold:' .. unit.tier) or 0
      if sold < unit.n then
        return { 'returned', unit.n - sold, unit.tier }
      end
    end
  end
  if from == 'free' then
    local ends, short = victims(hold.units)
    if short then
      return short
    end
    for _, victim in ipairs(ends) do
      drop(victim.id, victim.hold)
    end
    count(hold.customer, hold.units, 1)
  elseif to == 'free' then
    count(hold.customer, hold.units, -1)
  end
  move(hold.units, from, to)
  take_out(id, hold)
  hold.stage, hold.version = news.effect, version
  put(id, hold, now + tonumber(news.remember))
  return { 'done' }
end)
