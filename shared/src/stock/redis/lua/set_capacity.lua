-- Sets a tier's capacity without touching holds; never below what is taken.
--
-- ARGV   2 tier, 3 capacity
-- Reply  done | unknown | again

local tier, capacity = ARGV[2], ARGV[3]
if #ARGV ~= 3 or not is_name(tier) or not is_count(capacity) then
  return nonsense('tier or capacity')
end

local refused = enter()
if refused then
  return refused
end

local held, sold = unpack(call('HMGET', SALE, 'held:' .. tier, 'sold:' .. tier))
if held and sold then
  local taken = tonumber(held) + tonumber(sold)
  local new = math.max(tonumber(capacity), taken)
  call('HSET', SALE, 'capacity:' .. tier, new, 'free:' .. tier, new - taken)
end
return { 'done' }
