-- Writes some of the image's pins. What was settled since the image was read stands.
--
-- ARGV   3 currency, then for each pin: hold, customer, order, version, units ('std=2,vip=1'), items (JSON)
-- Reply  go_on | overtaken

local currency = ARGV[3]
if #ARGV < 9 or #ARGV % 6 ~= 3 or not string.find(currency, '^%l%l%l$') then
  return nonsense('pins')
end
local ids, pins = {}, {}
for i = 4, #ARGV, 6 do
  local id, customer, order, version, units_text, items = unpack(ARGV, i, i + 5)
  local units = units_in(units_text)
  if not is_id(id) or not is_id(customer) or not is_id(order) or not is_count(version) or not units then
    return nonsense('pin')
  elseif not string.find(items, '^%[.*%]$') then
    return nonsense('items')
  end
  ids[#ids + 1] = id
  pins[#pins + 1] = { customer = customer, order = order, version = version, units = units, items = items }
end
if #ids > 1000 then
  return nonsense('too many pins')
end

local overtaken = go_on()
if overtaken then
  return overtaken
end

local tiers = {}
for tier in string.gmatch(call('HGET', NEW_SALE, 'tiers') or '', '[^,]+') do
  tiers[tier] = { limited = call('HEXISTS', NEW_SALE, 'limit:' .. tier) == 1, held = 0, pinned = 0, sold = 0 }
end

local lines = call('HMGET', HOLDS, unpack(ids))
for i, pin in ipairs(pins) do
  local id, stage, version, till = ids[i], 'pinned', pin.version, nil
  -- One that makes no sense is what a rebuild is for.
  local sound, old = pcall(read, lines[i])
  if sound and old and old.order == pin.order and tonumber(old.version) > tonumber(version) then
    till = call('ZSCORE', ENDED, id)
    if old.stage == 'pinned' or till and tonumber(till) > now then
      stage, version = old.stage, old.version
    end
  end

  local kept = {}
  for _, unit in ipairs(pin.units) do
    local tier = tiers[unit.tier]
    if tier then
      kept[#kept + 1] = unit.tier .. '=' .. string.format('%d', unit.n)
      if stage == 'pinned' then
        tier.held, tier.pinned = tier.held + unit.n, tier.pinned + unit.n
      elseif stage == 'sold' then
        tier.sold = tier.sold + unit.n
      end
      if tier.limited and stage ~= 'released' then
        call('HINCRBY', NEW_UNITS, unit.tier .. '|' .. pin.customer, unit.n)
      end
    end
  end

  local line = { stage, pin.customer, pin.order, version, '0', currency, table.concat(kept, ','), pin.items }
  call('HSET', NEW_HOLDS, id, table.concat(line, '|'))
  if stage ~= 'pinned' then
    call('ZADD', NEW_ENDED, till, id)
  elseif tonumber(version) == 0 then
    call('ZADD', NEW_LONE, now, id)
  end
end

for tier, add in pairs(tiers) do
  for _, shelf in ipairs({ 'held', 'pinned', 'sold' }) do
    if add[shelf] > 0 then
      call('HINCRBY', NEW_SALE, shelf .. ':' .. tier, add[shelf])
    end
  end
end
return { 'go_on' }
