-- Frees holds whose deadline has passed and forgets ended ones whose time is over, a batch of each.
--
-- ARGV   none besides the run id
-- Reply  freed, how many, 1 if there may be more
--        unknown

if not is_known() then
  return { 'unknown' }
end
local freed, forgotten = drop_due(), forget_ended()
return { 'freed', freed, (freed == MOST_DUE or forgotten == MOST_DUE) and 1 or 0 }
