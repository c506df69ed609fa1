-- Put before every script of this folder: where things are, and how a job is written down.
--
-- KEYS  five for each queue that the script speaks of: line, jobs, delayed, dead, front (see keys.rs)

local GROUP = 'workers'
-- Who owns what was handed back, until somebody takes it. No worker has this name.
local HANDED_BACK = '(handed back)'

local queues = {}
local function queue(n)
  local at = 5 * (n - 1)
  queues[n] = queues[n] or {
    line = KEYS[at + 1], jobs = KEYS[at + 2], delayed = KEYS[at + 3], dead = KEYS[at + 4], front = KEYS[at + 5],
  }
  return queues[n]
end

-- By the server's clock, in ms.
local function time_now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The job of an entry {id, {field, value, …}}. What somebody else wrote there is a job too, without a payload that any
-- handler could read: so it ends as a dead letter instead of in everybody's way.
local function job_of(entry)
  local job = { entry = entry[1], key = entry[1], payload = '' }
  for i = 1, #entry[2], 2 do
    job[entry[2][i]] = entry[2][i + 1]
  end
  job.pushed_at, job.deliveries = tonumber(job.pushed_at) or 0, tonumber(job.deliveries) or 0
  job.retries = tonumber(job.retries) or 0
  return job
end

-- Puts a job at the end of the line. Its key is taken from then on, with no delivery to leave out of the count.
local function add(q, job)
  redis.call('XADD', q.line, '*', 'key', job.key, 'payload', job.payload, 'pushed_at', job.pushed_at,
    'deliveries', job.deliveries, 'retries', job.retries)
  redis.call('HSET', q.jobs, job.key, 0)
end

-- Writes down a job that leaves the line and keeps its key.
local function park(q, job)
  local record = { job.payload, job.pushed_at, job.deliveries, job.retries, job.reason, job.died_at }
  redis.call('HSET', q.jobs, job.key, cmsgpack.pack(record))
end

-- A job that was parked; nil when there is none, or nothing that could be read.
local function parked(q, key)
  local packed = redis.call('HGET', q.jobs, key)
  local readable, record = pcall(cmsgpack.unpack, packed)
  if not readable or type(record) ~= 'table' then return nil end
  return {
    key = key, payload = record[1], pushed_at = record[2], deliveries = record[3], retries = record[4],
    reason = record[5], died_at = record[6],
  }
end

-- Most delayed jobs that join the line in one call.
local PROMOTED = 200

-- Delayed jobs that are due join the end of the line.
local function promote(q, now)
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', q.delayed, '-inf', now, 'LIMIT', 0, PROMOTED)) do
    local job = parked(q, key)
    if job then add(q, job) else redis.call('HDEL', q.jobs, key) end
    redis.call('ZREM', q.delayed, key)
  end
end

-- In how many ms the next delayed job is due; -1 when there is none.
local function next_due(q, now)
  local due = redis.call('ZRANGE', q.delayed, 0, 0, 'WITHSCORES')[2]
  return due and math.max(0, tonumber(due) - now) or -1
end

-- Whether a reply is the error that there is no stream yet, or no group: nobody has fetched since the server was empty.
local function no_group(reply)
  return type(reply) == 'table' and reply.err and string.find(reply.err, 'NOGROUP', 1, true) ~= nil
end

-- Who holds an entry, and how often it was delivered: the fence. Nil when nobody does.
local function holder(q, entry)
  local found = redis.pcall('XPENDING', q.line, GROUP, entry, entry, 1)
  if no_group(found) then return nil end
  if found.err then error(found.err, 0) end
  if found[1] then return found[1][2], found[1][4] end
end

local function is_held(q, lease)
  local consumer, fence = holder(q, lease.entry)
  return consumer == lease.consumer and fence == lease.fence
end

-- How many of an entry's deliveries do not count, since they were handed back.
local function uncounted(q, key)
  return tonumber(redis.call('HGET', q.jobs, key)) or 0
end

-- The leases in ARGV from place `at` on, four arguments each: number of the queue, entry, consumer, fence.
local function leases_from(at)
  local leases = {}
  for i = at, #ARGV, 4 do
    leases[#leases + 1] = {
      queue = queue(assert(tonumber(ARGV[i]))), entry = ARGV[i + 1], consumer = ARGV[i + 2],
      fence = assert(tonumber(ARGV[i + 3])),
    }
  end
  return leases
end

