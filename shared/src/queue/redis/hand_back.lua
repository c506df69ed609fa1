-- Puts jobs to the front of the line, in the order given. Their entries stay pending, owned by nobody who works.
--
-- KEYS   five for each queue
-- ARGV   for each lease: number of its queue, entry, consumer, fence
-- reply  how many were still held

local leases, given = leases_from(1), 0
for i = #leases, 1, -1 do
  local lease = leases[i]
  local q = lease.queue
  local entry = is_held(q, lease) and redis.call('XRANGE', q.line, lease.entry, lease.entry)[1]
  if entry then
    redis.call('HINCRBY', q.jobs, job_of(entry).key, 1)
    redis.call('XCLAIM', q.line, GROUP, HANDED_BACK, 0, lease.entry, 'JUSTID')
    redis.call('LPUSH', q.front, lease.entry)
    given = given + 1
  end
end
return given
