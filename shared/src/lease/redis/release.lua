-- Gives a lease back.
-- KEYS: 1 the lease
-- ARGV: 1 who held it
-- Reply: how many keys are gone: 0 when it was somebody else's
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
