-- Sends a dead job to the end of the line, as if it had just been pushed.
--
-- KEYS   five of one queue
-- ARGV   key
-- reply  1, or 0 when there is none of that key

local q, key = queue(1), ARGV[1]
local job = redis.call('ZSCORE', q.dead, key) and parked(q, key)
if not job then return 0 end
job.pushed_at, job.deliveries, job.retries = time_now(), 0, 0
add(q, job)
redis.call('ZREM', q.dead, key)
return 1
