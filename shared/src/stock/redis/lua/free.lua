-- Gives up a hold that is not being paid for.
--
-- ARGV   2 hold, 3 customer
-- Reply  freed | gone | pinned | unknown | again

local id, customer = unpack(ARGV, 2, 3)
if #ARGV ~= 3 or not is_id(id) or not is_id(customer) then
  return nonsense('id')
end

local refused = enter()
if refused then
  return refused
end

local hold = find(id)
if not hold or hold.customer ~= customer then
  return { 'gone' }
elseif hold.stage == 'thinking' then
  drop(id, hold)
  return { 'freed' }
end
return { hold.stage == 'pinned' and 'pinned' or 'gone' }
