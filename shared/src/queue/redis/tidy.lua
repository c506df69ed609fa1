-- Takes consumers off the group's list that hold nothing and have been given nothing for a while. To delete one that
-- holds something would lose it. One that was only idle is put on the list again with its next job.
--
-- KEYS   five of one queue
-- ARGV   how long that while is, in ms
-- reply  how many were taken off

local q, silent = queue(1), assert(tonumber(ARGV[1]))
local consumers = redis.pcall('XINFO', 'CONSUMERS', q.line, GROUP)
if consumers.err then return 0 end
local gone = 0
for _, consumer in ipairs(consumers) do
  local facts = {}
  for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
  if facts['pending'] == 0 and facts['idle'] > silent then
    redis.call('XGROUP', 'DELCONSUMER', q.line, GROUP, facts['name'])
    gone = gone + 1
  end
end
return gone
