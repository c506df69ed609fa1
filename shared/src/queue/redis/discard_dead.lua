-- Forgets a dead job and frees its key.
--
-- KEYS   five of one queue
-- ARGV   key
-- reply  1, or 0 when there is none of that key

local q, key = queue(1), ARGV[1]
local found = redis.call('ZREM', q.dead, key)
if found == 1 then redis.call('HDEL', q.jobs, key) end
return found
