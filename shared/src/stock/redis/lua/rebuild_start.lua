-- Starts to write an image: from now on the sale is not known.
--
-- ARGV   3 the image's epoch, then for each tier: tier, capacity, sold, returned, limit or ''
-- Reply  go_on
--        old    the image is not newer than what is shown, or older than what is being written: nothing was changed

local image = ARGV[3]
if not is_count(image) or #ARGV % 5 ~= 3 then
  return nonsense('image')
end
local tiers, fields, seen = {}, {}, {}
for i = 4, #ARGV, 5 do
  local tier, capacity, sold, returned, limit = unpack(ARGV, i, i + 4)
  if not is_name(tier) or seen[tier] then
    return nonsense('tier')
  elseif not is_count(capacity) or not is_count(sold) or not is_count(returned) then
    return nonsense('units')
  elseif limit ~= '' and not is_count(limit) then
    return nonsense('limit')
  end
  seen[tier] = true
  tiers[#tiers + 1] = tier
  for shelf, units in pairs({ capacity = capacity, sold = sold, returned = returned, held = 0, pinned = 0 }) do
    fields[#fields + 1] = shelf .. ':' .. tier
    fields[#fields + 1] = units
  end
  if limit ~= '' then
    fields[#fields + 1] = 'limit:' .. tier
    fields[#fields + 1] = limit
  end
end

local writing = call('HGET', SALE, 'writing')
local shown = is_known() and epoch()
if shown and tonumber(shown) >= tonumber(image) or writing and tonumber(writing) > tonumber(image) then
  return { 'old' }
end
call('UNLINK', NEW_SALE, NEW_HOLDS, NEW_LONE, NEW_ENDED, NEW_UNITS)
call('HSET', NEW_SALE, 'tiers', table.concat(tiers, ','), unpack(fields))
call('HDEL', SALE, 'run')
call('HSET', SALE, 'rebuild', THIS, 'writing', image, 'begun', now)
return { 'go_on' }
