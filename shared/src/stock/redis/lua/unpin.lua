-- Undoes a pin whose order was refused: the buyer's clock goes on where it stopped. Nothing if it is pinned to another
-- order, or if its order has spoken for it.
--
-- ARGV   2 hold, 3 order
-- Reply  thinking, customer, thinking time left    it was pinned until now
--        done | unknown | again

local id, order = unpack(ARGV, 2, 3)
if #ARGV ~= 3 or not is_id(id) or not is_id(order) then
  return nonsense('id')
end

local refused = enter()
if refused then
  return refused
end

local hold = find(id)
if hold and hold.stage == 'pinned' and hold.order == order and tonumber(hold.version) == 0 then
  take_out(id, hold)
  local deadline = now + tonumber(hold.think)
  hold.stage, hold.order = 'thinking', ''
  put(id, hold, deadline)
  return { 'thinking', hold.customer, hold.think }
end
return { 'done' }
