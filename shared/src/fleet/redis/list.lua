-- All whose beat has not lapsed.
-- KEYS: 1 who beats, by the ms at which that lapses; 2 what each said last; 3 what is wished of them
-- Reply: for each {what it said last, concurrency ('': none), drain ('': no) that are wished of it}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local rows = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%d', now), '+inf')) do
  local told = redis.call('HGET', KEYS[2], name)
  if told then
    local wish = redis.call('HMGET', KEYS[3], name .. ':concurrency', name .. ':drain')
    rows[#rows + 1] = { told, wish[1] or '', wish[2] or '' }
  end
end
return rows
