-- Strikes out a process that ends.
-- KEYS: 1 who beats; 2 what each said last; 3 what is wished of them
-- ARGV: 1 who
-- Reply: nothing
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1] .. ':concurrency', ARGV[1] .. ':drain')
return false
