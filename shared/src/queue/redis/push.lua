-- Adds jobs whose key is free, as long as their queue is not full.
--
-- KEYS   five for each queue
-- ARGV   most unfinished jobs of a queue; then for each job: number of its queue, key, payload
-- reply  for each job: 'new', 'duplicate' or 'full'

local most, now = assert(tonumber(ARGV[1])), time_now()
local jobs = {}
for i = 2, #ARGV, 3 do
  jobs[#jobs + 1] = {
    queue = queue(assert(tonumber(ARGV[i]))), key = ARGV[i + 1], payload = assert(ARGV[i + 2]), pushed_at = now,
    deliveries = 0, retries = 0,
  }
end

local told = {}
for i, job in ipairs(jobs) do
  local q = job.queue
  q.count = q.count or redis.call('HLEN', q.jobs)
  if redis.call('HEXISTS', q.jobs, job.key) == 1 then
    told[i] = 'duplicate'
  elseif q.count >= most then
    told[i] = 'full'
  else
    add(q, job)
    q.count = q.count + 1
    told[i] = 'new'
  end
end
return told
