-- The unpaid and unpinned holds of a customer in this sale.
--
-- ARGV   2 customer
-- Reply  holds, epoch, then for each: hold, thinking time left, currency, items (JSON)
--        unknown | again

local MOST = 64

local customer = ARGV[2]
if #ARGV ~= 2 or not is_id(customer) then
  return nonsense('id')
end

local refused = enter()
if refused then
  return refused
end

local reply = { 'holds', epoch() }
for id in string.gmatch(call('HGET', UNPAID, customer) or '', '[^,]+') do
  local hold = find(id)
  if hold and #reply < 2 + 4 * MOST then
    for _, part in ipairs({ id, think_left(id, hold), hold.currency, hold.items }) do
      reply[#reply + 1] = part
    end
  end
end
return reply
