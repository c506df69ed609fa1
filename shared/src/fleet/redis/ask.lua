-- Writes down what a worker should do.
-- KEYS: 1 who beats, by the ms at which that lapses; 2 what each said last; 3 what is wished of them
-- ARGV: 1 who; 2 'concurrency' or 'drain'; 3 how many ('': as set), or '1'
-- Reply: 'yes', 'unknown' when no worker of this name beats, 'whole_shop' for what cannot be drained
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lapses = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
local told = redis.call('HGET', KEYS[2], ARGV[1])
if lapses <= now or not told then
  return 'unknown'
end
local kind = cjson.decode(told).kind
if kind == 'web' then
  return 'unknown'
end
if kind == 'shop' and ARGV[2] == 'drain' then
  return 'whole_shop'
end
redis.call('HSET', KEYS[3], ARGV[1] .. ':' .. ARGV[2], ARGV[3])
-- No wish outlives the last of those who beat.
redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
return 'yes'
