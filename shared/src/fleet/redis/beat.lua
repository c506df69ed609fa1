-- Writes a beat down, and strikes out who has lapsed.
-- KEYS: 1 who beats, by the ms at which that lapses; 2 what each said last; 3 what is wished of them
-- ARGV: 1 who; 2 what it says; 3 for how long that stands (ms); 4 the concurrency that it has heard ('': none), 5 whether
--       it has heard that it should drain ('': no)
-- Reply: {concurrency, drain} that are wished of it, in the same form
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now))) do
  redis.call('ZREM', KEYS[1], name)
  redis.call('HDEL', KEYS[2], name)
  redis.call('HDEL', KEYS[3], name .. ':concurrency', name .. ':drain')
end
redis.call('ZADD', KEYS[1], string.format('%d', now + tonumber(ARGV[3])), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local fields = { ARGV[1] .. ':concurrency', ARGV[1] .. ':drain' }
local wish = redis.call('HMGET', KEYS[3], fields[1], fields[2])
if not wish[1] and not wish[2] and (ARGV[4] ~= '' or ARGV[5] ~= '') then
  redis.call('HSET', KEYS[3], fields[1], ARGV[4], fields[2], ARGV[5])
  wish = { ARGV[4], ARGV[5] }
end
for key = 1, 3 do
  redis.call('PEXPIRE', KEYS[key], ARGV[3])
end
return { wish[1] or '', wish[2] or '' }
