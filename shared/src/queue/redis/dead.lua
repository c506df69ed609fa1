-- Reads a page of dead letters, the longest dead first.
--
-- KEYS   five of one queue
-- ARGV   how many to pass over; how many to read, at least 1
-- reply  for each: { key, payload, reason, deliveries, pushed_at, died_at }

local q, letters = queue(1), {}
local from, count = assert(tonumber(ARGV[1])), assert(tonumber(ARGV[2]))
for _, key in ipairs(redis.call('ZRANGE', q.dead, from, from + count - 1)) do
  local job = parked(q, key) or { payload = '', reason = 'its record cannot be read', deliveries = 0, pushed_at = 0 }
  letters[#letters + 1] = { key, job.payload, job.reason, job.deliveries, job.pushed_at, job.died_at or 0 }
end
return letters
