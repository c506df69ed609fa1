-- Binds a hold to the order that pays for it: its clock stops.
--
-- ARGV   2 hold, 3 order, 4 customer
-- Reply  pinned, 1 if by this call, epoch, thinking time left, currency, items (JSON)
--        gone | taken | unknown | again

local id, order, customer = unpack(ARGV, 2, 4)
if #ARGV ~= 4 or not is_id(id) or not is_id(order) or not is_id(customer) then
  return nonsense('id')
end

local refused = enter()
if refused then
  return refused
end

local hold = find(id)
if not hold or hold.customer ~= customer then
  return { 'gone' }
end

local new = hold.stage == 'thinking'
if new then
  hold.think = think_left(id, hold)
  take_out(id, hold)
  hold.stage, hold.order = 'pinned', order
  put(id, hold)
elseif hold.stage == 'pinned' and hold.order == order then
  call('ZADD', LONE, 'XX', now, id)
else
  return { 'taken' }
end
return { 'pinned', new and 1 or 0, epoch(), hold.think, hold.currency, hold.items }
