-- Leases jobs to a consumer: those whose lease has lapsed, then those that were handed back, then those that wait.
-- Before that, delayed jobs that are due join the end of the line. Makes the group if there is none.
--
-- KEYS   five of one queue
-- ARGV   consumer; most jobs, at least 1; lease in ms; where the last look for lapsed leases ended, '0-0' for the
--        beginning; how many leases to look at, about, or 0
-- reply  { jobs, where this look ended, ms until a delayed job is due or -1 }
--        job: { entry, fence, key, payload, deliveries, retries, pushed_at }

-- Most jobs in front that are kept from lapsing in one call.
local KEPT = 200

local q, consumer, now = queue(1), ARGV[1], time_now()
local most, lease, budget = assert(tonumber(ARGV[2])), assert(tonumber(ARGV[3])), assert(tonumber(ARGV[5]))
local cursor = ARGV[4]
local taken = {}

local function deliver(job, fence, deliveries)
  taken[#taken + 1] = { job.entry, fence, job.key, job.payload, deliveries, job.retries, job.pushed_at }
end

-- A job that was delivered before, and has just been claimed. (No entry: another hand deleted it.)
local function deliver_again(entry, lapsed)
  if not entry then return end
  local job = job_of(entry)
  local _, fence = holder(q, job.entry)
  local handed_back = uncounted(q, job.key)
  -- It may have lapsed in front, behind those that are kept.
  if lapsed and handed_back > 0 then redis.call('LREM', q.front, 1, job.entry) end
  deliver(job, fence, job.deliveries + fence - handed_back)
end

-- What lies in front cannot lapse: nobody may have come by for longer than a lease.
local function keep_front()
  for _, entry in ipairs(redis.call('LRANGE', q.front, 0, KEPT - 1)) do
    redis.call('XCLAIM', q.line, GROUP, HANDED_BACK, 0, entry, 'JUSTID')
  end
end

-- Asks what needs the group, which is not there when the server was empty.
local function with_group(ask)
  local reply = ask()
  if no_group(reply) then
    redis.call('XGROUP', 'CREATE', q.line, GROUP, '0', 'MKSTREAM')
    reply = ask()
  end
  if reply and reply.err then error(reply.err, 0) end
  return reply
end

-- The server looks at up to ten leases for each that it may claim, and stops as soon as it has claimed so many.
local function take_lapsed()
  local rounds = cursor == '0-0' and 1 or 2
  repeat
    local count = math.min(most - #taken, math.ceil(budget / 10))
    local claimed = with_group(function()
      return redis.pcall('XAUTOCLAIM', q.line, GROUP, consumer, lease, cursor, 'COUNT', count)
    end)
    cursor, budget = claimed[1], budget - (#claimed[2] < count and 10 * count or count)
    for _, entry in ipairs(claimed[2]) do deliver_again(entry, true) end
    if cursor == '0-0' then rounds = rounds - 1 end
  until rounds == 0 or #taken >= most or budget <= 0
end

local function take_handed_back()
  while #taken < most do
    local entry = redis.call('LPOP', q.front)
    if not entry then return end
    deliver_again(redis.call('XCLAIM', q.line, GROUP, consumer, 0, entry)[1], false)
  end
end

local function take_waiting()
  if #taken >= most then return end
  local read = with_group(function()
    return redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', most - #taken, 'STREAMS', q.line, '>')
  end)
  if not read then return end
  for _, entry in ipairs(read[1][2]) do
    local job = job_of(entry)
    deliver(job, 1, job.deliveries + 1)
  end
end

-- A server without memory refuses that; what is in line can be taken all the same.
pcall(promote, q, now)
keep_front()
if budget > 0 then take_lapsed() end
take_handed_back()
take_waiting()
return { taken, cursor, next_due(q, now) }
