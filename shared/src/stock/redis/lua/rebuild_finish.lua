-- What was written takes the place of what was there, and the sale is known.
--
-- ARGV   3 the image's epoch
-- Reply  shown | overtaken

local image = ARGV[3]
if #ARGV ~= 3 or not is_count(image) or RUN == '' then
  return nonsense('image')
end

local overtaken = go_on()
if overtaken then
  return overtaken
end

local fields = { 'run', RUN, 'epoch', image }
for tier in string.gmatch(call('HGET', NEW_SALE, 'tiers') or '', '[^,]+') do
  local capacity, held, sold =
    unpack(call('HMGET', NEW_SALE, 'capacity:' .. tier, 'held:' .. tier, 'sold:' .. tier))
  fields[#fields + 1] = 'free:' .. tier
  -- Never below nothing, even if the ledger has sold more than there is.
  fields[#fields + 1] = math.max(0, tonumber(capacity) - tonumber(held) - tonumber(sold))
end

-- The server frees what is unlinked in the background, however much it is.
call('UNLINK', SALE, HOLDS, DEADLINES, LONE, ENDED, UNPAID, UNITS)
for new, place in pairs({ [NEW_HOLDS] = HOLDS, [NEW_LONE] = LONE, [NEW_ENDED] = ENDED, [NEW_UNITS] = UNITS }) do
  if call('EXISTS', new) == 1 then
    call('RENAME', new, place)
  end
end
call('RENAME', NEW_SALE, SALE)
call('HSET', SALE, unpack(fields))
return { 'shown' }
