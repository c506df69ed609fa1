-- What every script of a sale begins with: its keys, its hold records, its counters.
--
-- KEYS   1 sale, 2 holds, 3 deadlines, 4 lone, 5 ended, 6 unpaid, 7 units; keys.rs says what is in them.
-- ARGV   1 the run id of the server process at the other end of the caller's connection.
-- Reply  a flat list whose first word says what it is. From any script:
--          unknown    nothing is known of the sale, or only what was known before the server may have lost something
--          again      a batch of dead holds was freed, and there may be more: ask again
--        An error says that the arguments make no sense; then nothing was written.
--
-- Lua has no numbers but doubles. Quantities, versions, epochs and milliseconds lie far below 2^53; amounts of money
-- never become numbers here, but stay in the text of the items.

local SALE, HOLDS, DEADLINES, LONE, ENDED, UNPAID, UNITS = unpack(KEYS, 1, 7)
local RUN = ARGV[1]
local call = redis.call

-- Holds that one call frees or forgets because their time is over.
local MOST_DUE = 100

-- On which shelf the units of a hold are.
local SHELF = { thinking = 'held', pinned = 'held', sold = 'sold', released = 'free' }

local function nonsense(what)
  return redis.error_reply('NONSENSE ' .. what)
end

local function has(text, letter)
  return string.find(text, letter, 1, true) ~= nil
end

-- Whether it looks like a UUID and can stand in a line or a list. (A look at each digit would take longer than most of
-- what follows.)
local function is_id(text)
  return text ~= nil and #text == 36 and string.find(text, '^........%-....%-....%-....%-') ~= nil
    and not has(text, '|') and not has(text, ',')
end

-- Whether it is a whole number, and one that a double can be.
local function is_count(text)
  return text ~= nil and #text <= 15 and string.find(text, '^%d+$') ~= nil
end

local function is_name(text)
  return text ~= nil and #text <= 64 and string.find(text, '^[%w_%-]+$') ~= nil
end

-- 'std=2,vip=1' as a list of tiers and quantities.
local function units_of(text)
  local units = {}
  for tier, n in string.gmatch(text, '([^=,]+)=(%d+)') do
    units[#units + 1] = { tier = tier, n = tonumber(n) }
  end
  return units
end

-- The same of a text that may be something else: nothing unless it is that, each tier once.
local function units_in(text)
  if text == nil or #text > 8192 then
    return nil
  end
  local units, written, seen = units_of(text), {}, {}
  for i, unit in ipairs(units) do
    if seen[unit.tier] or unit.n < 1 or unit.n > 99999999 or not is_name(unit.tier) then
      return nil
    end
    seen[unit.tier] = true
    written[i] = string.format('%s=%d', unit.tier, unit.n)
  end
  return table.concat(written, ',') == text and units or nil
end

-- A hold is one line: stage|customer|order|version|think|currency|units|items. `think` is what a pinned hold has left
-- of its thinking time; that of an unpinned one follows from its deadline, which stands in DEADLINES alone.
local function read(line)
  if not line then
    return nil
  end
  local parts, from = {}, 1
  for i = 1, 7 do
    local bar = string.find(line, '|', from, true) or error('a hold makes no sense: ' .. line)
    parts[i] = string.sub(line, from, bar - 1)
    from = bar + 1
  end
  local stage, customer, order, version, think, currency, units = unpack(parts)
  if not SHELF[stage] or not tonumber(version) or not tonumber(think) then
    error('a hold makes no sense: ' .. line)
  end
  return {
    stage = stage, customer = customer, order = order, version = version, think = think,
    currency = currency, units = units_of(units), units_text = units, items = string.sub(line, from),
  }
end

local function write(id, hold)
  local stand = { hold.stage, hold.customer, hold.order, hold.version, hold.think }
  local goods = { hold.currency, hold.units_text, hold.items }
  call('HSET', HOLDS, id, table.concat(stand, '|') .. '|' .. table.concat(goods, '|'))
end

-- Many holds of one call move the same few counters. While `gathering`, changes are added up here, and written once.
local gathering, changes = false, {}

local function change(field, n)
  if gathering then
    changes[field] = (changes[field] or 0) + n
  else
    call('HINCRBY', SALE, field, n)
  end
end

-- A counter as it is with what was gathered; nothing when there is none.
local function level(field)
  local written = call('HGET', SALE, field)
  return written and tonumber(written) + (changes[field] or 0)
end

local function move(units, from, to)
  for _, unit in ipairs(units) do
    change(from .. ':' .. unit.tier, -unit.n)
    change(to .. ':' .. unit.tier, unit.n)
  end
end

local function count_pinned(units, sign)
  for _, unit in ipairs(units) do
    change('pinned:' .. unit.tier, sign * unit.n)
  end
end

-- Keeps how many units a customer has, of the tiers that have a limit.
local function count(customer, units, sign)
  for _, unit in ipairs(units) do
    if call('HEXISTS', SALE, 'limit:' .. unit.tier) == 1 then
      local field = unit.tier .. '|' .. customer
      if call('HINCRBY', UNITS, field, sign * unit.n) <= 0 then
        call('HDEL', UNITS, field)
      end
    end
  end
end

-- The ids of a customer's unpaid holds stand side by side, a comma between.
local function add_unpaid(customer, id)
  local ids = call('HGET', UNPAID, customer)
  call('HSET', UNPAID, customer, ids and ids .. ',' .. id or id)
end

local function remove_unpaid(customer, id)
  local left = {}
  for other in string.gmatch(call('HGET', UNPAID, customer) or '', '[^,]+') do
    if other ~= id then
      left[#left + 1] = other
    end
  end
  if #left == 0 then
    call('HDEL', UNPAID, customer)
  else
    call('HSET', UNPAID, customer, table.concat(left, ','))
  end
end

-- Enters a hold, whose units are on their shelf already. `at` is the deadline of an unpinned one, and when an ended one
-- is forgotten.
local function put(id, hold, at)
  write(id, hold)
  if hold.stage == 'thinking' then
    call('ZADD', DEADLINES, at, id)
    add_unpaid(hold.customer, id)
  elseif hold.stage == 'pinned' then
    if tonumber(hold.version) == 0 then
      call('ZADD', LONE, now, id)
    end
    count_pinned(hold.units, 1)
  else
    call('ZADD', ENDED, at, id)
  end
end

-- Takes a hold out of what `put` entered it into, its own line excepted.
local function take_out(id, hold)
  if hold.stage == 'thinking' then
    call('ZREM', DEADLINES, id)
    remove_unpaid(hold.customer, id)
  elseif hold.stage == 'pinned' then
    call('ZREM', LONE, id)
    count_pinned(hold.units, -1)
  else
    call('ZREM', ENDED, id)
  end
end

-- Frees the units of a hold and forgets it.
local function drop(id, hold)
  take_out(id, hold)
  call('HDEL', HOLDS, id)
  move(hold.units, 'held', 'free')
  count(hold.customer, hold.units, -1)
end

-- Frees unpinned holds whose deadline has passed, a batch of them; how many there were.
local function drop_due()
  local due = call('ZRANGEBYSCORE', DEADLINES, '-inf', now, 'LIMIT', 0, MOST_DUE)
  if #due == 0 then
    return 0
  end
  local lines, holds = call('HMGET', HOLDS, unpack(due)), {}
  for i in ipairs(due) do
    holds[i] = read(lines[i])
  end
  for i, id in ipairs(due) do
    if holds[i] then
      drop(id, holds[i])
    else
      call('ZREM', DEADLINES, id)
    end
  end
  return #due
end

-- Forgets ended holds whose time is over, a batch of them; how many there were.
local function forget_ended()
  local over = call('ZRANGEBYSCORE', ENDED, '-inf', now, 'LIMIT', 0, MOST_DUE)
  if #over > 0 then
    call('ZREM', ENDED, unpack(over))
    call('HDEL', HOLDS, unpack(over))
  end
  return #over
end

local function is_known()
  return call('HGET', SALE, 'run') == RUN and RUN ~= ''
end

local function epoch()
  return call('HGET', SALE, 'epoch')
end

-- Begins to work on a sale: it must be known, and what is dead must be free. Returns the reply if there is one already.
local function enter()
  if not is_known() then
    return { 'unknown' }
  end
  if drop_due() == MOST_DUE then
    return { 'again' }
  end
  return nil
end

-- A hold that is alive, or remembered; never one that is due.
local function find(id)
  local hold = read(call('HGET', HOLDS, id))
  if hold and (hold.stage == 'sold' or hold.stage == 'released') then
    local till = call('ZSCORE', ENDED, id)
    if not till or tonumber(till) <= now then
      call('ZREM', ENDED, id)
      call('HDEL', HOLDS, id)
      return nil
    end
  end
  return hold
end

-- The thinking time that is left of a hold, in milliseconds.
local function think_left(id, hold)
  if hold.stage == 'thinking' then
    return string.format('%d', tonumber(call('ZSCORE', DEADLINES, id)) - now)
  end
  return hold.think
end

-- Does the work for each of several items, whose counters are written once. An error of one, which comes before anything
-- of it was written, is the whole call's; what was done before it stands.
local function for_each(items, work)
  local told = { 'each' }
  gathering = true
  local done, problem = pcall(function()
    for i, item in ipairs(items) do
      told[i + 1] = work(item)
    end
  end)
  for field, n in pairs(changes) do
    if n ~= 0 then
      call('HINCRBY', SALE, field, n)
    end
  end
  if not done then
    error(problem, 0)
  end
  return told
end

if #KEYS < 7 or RUN == nil then
  return nonsense('keys')
end
