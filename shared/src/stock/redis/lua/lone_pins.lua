-- Pins that are that old and that no order has spoken for; the oldest first.
--
-- ARGV   2 age in ms, 3 how many at most
-- Reply  pins, then for each: since when (ms), hold, order
--        unknown | again

local age, most = ARGV[2], ARGV[3]
if #ARGV ~= 3 or not is_count(age) or not is_count(most) or tonumber(most) > 1000 then
  return nonsense('number')
end

local refused = enter()
if refused then
  return refused
end

local reply = { 'pins' }
local old = call('ZRANGEBYSCORE', LONE, '-inf', now - tonumber(age), 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #old, 2 do
  local hold = find(old[i])
  if hold then
    reply[#reply + 1] = old[i + 1]
    reply[#reply + 1] = old[i]
    reply[#reply + 1] = hold.order
  end
end
return reply
