-- The server's own clock, in milliseconds: every deadline is made and compared by it.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
