-- Starts leases anew.
--
-- KEYS   five for each queue
-- ARGV   for each lease: number of its queue, entry, consumer, fence
-- reply  for each lease: 1, or 0 when it was lost

local leases, told = leases_from(1), {}
for i, lease in ipairs(leases) do
  told[i] = is_held(lease.queue, lease) and 1 or 0
  if told[i] == 1 then
    -- JUSTID: a renewal is no delivery, so the fence stays.
    redis.call('XCLAIM', lease.queue.line, GROUP, lease.consumer, 0, lease.entry, 'JUSTID')
  end
end
return told
