-- Frees a pin that no order has spoken for, if it is that old: who pins again makes it young.
--
-- ARGV   2 hold, 3 order, 4 age in ms
-- Reply  freed | kept | unknown | again

local id, order, age = unpack(ARGV, 2, 4)
if #ARGV ~= 4 or not is_id(id) or not is_id(order) or not is_count(age) then
  return nonsense('id or age')
end

local refused = enter()
if refused then
  return refused
end

-- Only pins that no order has spoken for are in here.
local since = call('ZSCORE', LONE, id)
local hold = since and tonumber(since) + tonumber(age) <= now and find(id)
if hold and hold.order == order then
  drop(id, hold)
  return { 'freed' }
end
return { 'kept' }
