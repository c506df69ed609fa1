-- Counts the jobs of a queue; nothing here takes longer when there are more of them.
--
-- KEYS   five of one queue
-- ARGV   none
-- reply  { waiting, running, delayed, dead, ms since the job at the head of the line was pushed }

local q, now = queue(1), time_now()

local pending = redis.pcall('XPENDING', q.line, GROUP)
local grouped = not no_group(pending)
if grouped and pending.err then error(pending.err, 0) end
local running = (grouped and pending[1] or 0) - redis.call('LLEN', q.front)
local due = redis.call('ZCOUNT', q.delayed, '-inf', now)
local in_line = redis.call('XLEN', q.line) - running

-- Where the entries begin that were never delivered.
local function undelivered()
  if not grouped then return '-' end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', q.line)) do
    local facts = {}
    for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
    if facts['name'] == GROUP then return '(' .. facts['last-delivered-id'] end
  end
  return '-'
end

local function head()
  local front = redis.call('LINDEX', q.front, 0)
  local entry
  if front then
    entry = redis.call('XRANGE', q.line, front, front)[1]
  elseif in_line > 0 then
    entry = redis.call('XRANGE', q.line, undelivered(), '+', 'COUNT', 1)[1]
  end
  if entry then return job_of(entry) end
  local first_due = due > 0 and redis.call('ZRANGE', q.delayed, 0, 0)[1]
  return first_due and parked(q, first_due)
end

local first = head()
return {
  in_line + due, running, redis.call('ZCARD', q.delayed) - due, redis.call('ZCARD', q.dead),
  first and math.max(0, now - first.pushed_at) or 0,
}
