-- Sets how many units of a tier's refunded tickets may be sold again. The number only grows.
--
-- ARGV   2 tier, 3 units
-- Reply  done
--        short, units    so many are not shown as sold yet; nothing was changed
--        unknown | again

local tier, units = ARGV[2], ARGV[3]
if #ARGV ~= 3 or not is_name(tier) or not is_count(units) then
  return nonsense('tier or units')
end

local refused = enter()
if refused then
  return refused
end

local sold, before = unpack(call('HMGET', SALE, 'sold:' .. tier, 'returned:' .. tier))
local more = tonumber(units) - tonumber(before or 0)
if not sold or more <= 0 then
  return { 'done' }
elseif tonumber(sold) < more then
  return { 'short', more - tonumber(sold) }
end
call('HINCRBY', SALE, 'sold:' .. tier, -more)
call('HINCRBY', SALE, 'free:' .. tier, more)
call('HSET', SALE, 'returned:' .. tier, units)
return { 'done' }
