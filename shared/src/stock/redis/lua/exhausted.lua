-- Which tiers of a sale are gone, and which holds are known.
--
-- ARGV   2 the mark that the caller knows, or ''; 3 most holds that are told
-- Reply  exhausted, mark, 1 if the holds follow, number of tiers, the tiers, the holds
--        many | unknown | again

local mark, most = ARGV[2], ARGV[3]
if #ARGV ~= 3 or not is_count(most) or not (mark == '' or string.find(mark, '^%d+:%d+$')) then
  return nonsense('mark')
end

local refused = enter()
if refused then
  return refused
end

local gone = {}
for tier in string.gmatch(call('HGET', SALE, 'tiers') or '', '[^,]+') do
  if tonumber(call('HGET', SALE, 'free:' .. tier)) == 0 then
    gone[#gone + 1] = tier
  end
end
local is_now = epoch() .. ':' .. (call('HGET', SALE, 'taken') or '0')
local holds = {}
if is_now ~= mark then
  if call('HLEN', HOLDS) > tonumber(most) then
    return { 'many' }
  end
  holds = call('HKEYS', HOLDS)
end
local reply = { 'exhausted', is_now, is_now ~= mark and 1 or 0, #gone }
for _, tier in ipairs(gone) do
  reply[#reply + 1] = tier
end
for _, id in ipairs(holds) do
  reply[#reply + 1] = id
end
return reply
