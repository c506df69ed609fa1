-- Ends deliveries, each wholly or not at all. What may be refused (when memory is full) comes before what may not, so
-- an end that fails leaves its job as it was.
--
-- KEYS   five for each queue, those of follow-up jobs among them
-- ARGV   for each end: number of its queue, entry, consumer, fence, then one of
--          'done', the job's key, n, then n times: number of the follow-up's queue, key, payload
--          'retry' or 'crashed', ms until it is due
--          'dead', reason
--          'back'
-- reply  for each end: 1; 0 when the lease was lost; or the text of the error that keeps this one from ending

-- States of the server that pass: the whole call fails, and is made again.
local PASSING = { 'OOM', 'MISCONF', 'NOREPLICAS', 'READONLY' }

local now, at = time_now(), 0

local function argument()
  at = at + 1
  return (assert(ARGV[at], 'an argument is missing'))
end

local function number()
  return assert(tonumber(argument()))
end

local function read_end()
  local e = { queue = queue(number()), entry = argument(), consumer = argument(), fence = number(), kind = argument() }
  if e.kind == 'done' then
    e.key, e.follow_ups = argument(), {}
    for i = 1, number() do
      e.follow_ups[i] = {
        queue = queue(number()), key = argument(), payload = argument(), pushed_at = now, deliveries = 0, retries = 0,
      }
    end
  elseif e.kind == 'retry' or e.kind == 'crashed' then
    e.due = now + number()
  elseif e.kind == 'dead' then
    e.reason = argument()
  else
    assert(e.kind == 'back')
  end
  return e
end

-- Pushes what follows; whether the key of the job that ends here is taken again by one of them.
local function follow(e, key)
  local again = false
  for _, job in ipairs(e.follow_ups) do
    local freed = not again and job.key == key and job.queue.jobs == e.queue.jobs
    if freed or redis.call('HEXISTS', job.queue.jobs, job.key) == 0 then
      add(job.queue, job)
      again = again or freed
    end
  end
  return again
end

-- To the front of the line, behind those of the front that came before it. The entry stays pending, owned by nobody.
local function hand_back(q, job)
  redis.call('HINCRBY', q.jobs, job.key, 1)
  redis.call('XCLAIM', q.line, GROUP, HANDED_BACK, 0, job.entry, 'JUSTID')
  local function parts(entry)
    local ms, number = string.match(entry, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(number)
  end
  local ms, number = parts(job.entry)
  for _, other in ipairs(redis.call('LRANGE', q.front, 0, -1)) do
    local other_ms, other_number = parts(other)
    if other_ms > ms or (other_ms == ms and other_number > number) then
      redis.call('LINSERT', q.front, 'BEFORE', other, job.entry)
      return
    end
  end
  redis.call('RPUSH', q.front, job.entry)
end

-- Entries that are over, by queue. They leave the line together, after all ends.
local over = {}

local function is_over(e)
  return over[e.queue] ~= nil and over[e.queue].known[e.entry] ~= nil
end

local function leave_line(e)
  over[e.queue] = over[e.queue] or { entries = {}, known = {} }
  local entries, known = over[e.queue].entries, over[e.queue].known
  entries[#entries + 1], known[e.entry] = e.entry, true
end

local function clear_line()
  for q, gone in pairs(over) do
    redis.call('XACK', q.line, GROUP, unpack(gone.entries))
    redis.call('XDEL', q.line, unpack(gone.entries))
  end
end

local function finish(e)
  local q = e.queue
  if is_over(e) or not is_held(q, e) then return 0 end
  if e.kind == 'done' then
    local key_is_free = not follow(e, e.key)
    leave_line(e)
    if key_is_free then redis.call('HDEL', q.jobs, e.key) end
    return 1
  end
  local entry = redis.call('XRANGE', q.line, e.entry, e.entry)[1]
  if not entry then return 0 end
  local job = job_of(entry)
  if e.kind == 'back' then
    hand_back(q, job)
    return 1
  end
  job.deliveries = job.deliveries + e.fence - uncounted(q, job.key)
  if e.kind == 'retry' then job.retries = job.retries + 1 end
  if e.kind == 'dead' then job.reason, job.died_at = e.reason, now end
  local index, score = q.delayed, e.due
  if e.kind == 'dead' then index, score = q.dead, now end
  redis.call('ZADD', index, score, job.key)
  park(q, job)
  leave_line(e)
  return 1
end

local ends, told = {}, {}
while at < #ARGV do ends[#ends + 1] = read_end() end
for i, e in ipairs(ends) do
  local ended, answer = pcall(finish, e)
  if not ended then
    answer = type(answer) == 'table' and answer.err or tostring(answer)
    for _, state in ipairs(PASSING) do
      if string.find(answer, state, 1, true) then
        clear_line()
        error(answer, 0)
      end
    end
  end
  told[i] = answer
end
clear_line()
return told
