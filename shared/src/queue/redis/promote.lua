-- Delayed jobs that are due join the end of the line, where they reach whoever waits.
--
-- KEYS   five of one queue
-- ARGV   none
-- reply  ms until the next delayed job is due, or -1

local q, now = queue(1), time_now()
promote(q, now)
return next_due(q, now)
