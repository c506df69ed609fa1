-- Begins a rebuild: from now on the sale is not known. What is known of its orders' holds stays until the rebuild ends,
-- which asks them for what was settled since its image was read.
--
-- ARGV   2 how long one that was begun keeps others from beginning, ms
-- Reply  begun | busy

local within = ARGV[2]
if #ARGV ~= 2 or not is_count(within) then
  return nonsense('number')
end

local begun = call('HGET', SALE, 'begun')
if begun and tonumber(begun) + tonumber(within) > now then
  return { 'busy' }
end
call('HSET', SALE, 'begun', now)
-- Whoever was writing an image has given no sign of life for as long as that.
call('HDEL', SALE, 'run', 'rebuild', 'writing')
return { 'begun' }
