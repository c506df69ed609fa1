-- Remembers some orders that were paid lately: their units are among those that are sold already.
--
-- ARGV   3 currency, 4 how long they are remembered, in ms, then for each:
--        hold, customer, order, version, units ('std=2,vip=1'), items (JSON)
-- Reply  go_on | overtaken

local currency, remember = ARGV[3], ARGV[4]
if #ARGV < 10 or #ARGV % 6 ~= 4 or not is_count(remember) or not string.find(currency, '^%l%l%l$') then
  return nonsense('sold')
end
local lines, ids = {}, {}
for i = 5, #ARGV, 6 do
  local id, customer, order, version, units_text, items = unpack(ARGV, i, i + 5)
  if not is_id(id) or not is_id(customer) or not is_id(order) or not is_count(version) or not units_in(units_text) then
    return nonsense('sold')
  elseif not string.find(items, '^%[.*%]$') then
    return nonsense('items')
  end
  ids[#ids + 1] = id
  lines[#lines + 1] = table.concat({ 'sold', customer, order, version, '0', currency, units_text, items }, '|')
end

local overtaken = go_on()
if overtaken then
  return overtaken
end

for i, id in ipairs(ids) do
  call('HSET', NEW_HOLDS, id, lines[i])
  call('ZADD', NEW_ENDED, now + tonumber(remember), id)
end
return { 'go_on' }
