-- Writes how many units some customers have bought, for the limits.
--
-- ARGV   3.. for each: customer, tier, units
-- Reply  go_on | overtaken

if #ARGV < 5 or #ARGV % 3 ~= 2 then
  return nonsense('bought')
end
for i = 3, #ARGV, 3 do
  if not is_id(ARGV[i]) or not is_name(ARGV[i + 1]) or not is_count(ARGV[i + 2]) then
    return nonsense('bought')
  end
end

local overtaken = go_on()
if overtaken then
  return overtaken
end

local limited = {}
for i = 3, #ARGV, 3 do
  local customer, tier, units = unpack(ARGV, i, i + 2)
  if limited[tier] == nil then
    limited[tier] = call('HEXISTS', NEW_SALE, 'limit:' .. tier) == 1
  end
  if limited[tier] and tonumber(units) > 0 then
    call('HINCRBY', NEW_UNITS, tier .. '|' .. customer, units)
  end
end
return { 'go_on' }
