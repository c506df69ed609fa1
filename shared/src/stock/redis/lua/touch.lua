-- Notes that a customer has a hold in a sale, so that it is found by customer. The sales that were noted last are kept.
--
-- KEYS   1 the customer's sales
-- ARGV   1 sale, 2 how long it must be known at least (ms), 3 how many sales are kept
-- Reply  done

local sale, long, most = ARGV[1], ARGV[2], ARGV[3]
local function is_count(text)
  return text ~= nil and #text <= 15 and string.find(text, '^%d+$') ~= nil
end
if #KEYS ~= 1 or #ARGV ~= 3 or not string.find(sale, '^[%w_%-]+$') or not is_count(long) or not is_count(most) then
  return redis.error_reply('NONSENSE sale or number')
end

redis.call('ZADD', KEYS[1], now, sale)
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(most) - 1)
if redis.call('PTTL', KEYS[1]) < tonumber(long) then
  redis.call('PEXPIRE', KEYS[1], long)
end
return { 'done' }
