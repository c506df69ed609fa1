-- How the books stand, and who shares them.
-- KEYS: 1 the books, 2 those who share them by the ms until which they do
-- ARGV: 1 who asks, empty for somebody who does not share; 2 for how long they do (ms); 3 an endpoint's limit, 4 the
--       total's (0: none), 5 how long Stripe takes for a charge (µs; 0: not known)
-- Reply: {sharers, how long Stripe takes for a charge as one of them last said (µs), for the total and each endpoint that was asked: {name, allowed (0: no limit), taken, throttled}}

local own_limit, total_limit = assert(tonumber(ARGV[3])), assert(tonumber(ARGV[4]))
local ms = math.floor(now / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(ms))
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[2], text(ms + tonumber(ARGV[2])), ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  if ARGV[5] ~= '0' then
    born()
    redis.call('HSET', KEY, 'latency', ARGV[5])
  end
end

local latency = tonumber(redis.call('HGET', KEY, 'latency')) or 0
local names, reply = { 'total' }, { redis.call('ZCARD', KEYS[2]), latency }
local seen = { total = true }
for _, field in ipairs(redis.call('HKEYS', KEY)) do
  local name = string.match(field, '^(.+):')
  if name and not seen[name] then
    seen[name] = true
    names[#names + 1] = name
  end
end
for _, name in ipairs(names) do
  local counts = redis.call('HMGET', KEY, name .. ':taken', name .. ':throttled')
  local rate = allowed(entry(name), name == 'total' and total_limit or own_limit)
  reply[#reply + 1] = { name, rate or 0, tonumber(counts[1]) or 0, tonumber(counts[2]) or 0 }
end
return reply
