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

-- 'std=2,vip=1' as a list of tiers and quantities, which nobody changes: many buy the same.
local units_by_text = {}
local function units_of(text)
  local units = units_by_text[text]
  if not units then
    units = {}
    for tier, n in string.gmatch(text, '([^=,]+)=(%d+)') do
      units[#units + 1] = { tier = tier, n = tonumber(n) }
    end
    units_by_text[text] = units
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
local LINE = '^(%l+)|([^|]*)|([^|]*)|(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$'

local function read(line)
  if not line then
    return nil
  end
  local stage, customer, order, version, think, currency, units, items = string.match(line, LINE)
  if not SHELF[stage or ''] then
    error('a hold makes no sense: ' .. line)
  end
  return {
    stage = stage, customer = customer, order = order, version = version, think = think,
    currency = currency, units = units_of(units), units_text = units, items = items,
  }
end

-- Many holds in one call are written together, and the few counters that they move are written once. While `gathering`,
-- what is not written yet stands here; whoever reads anything but a hold's line or a counter writes it first, by
-- `write_gathered`.
local gathering = false
-- By field of the sale: what is to be added; what stands there, or false.
local changes, fields = {}, {}
-- By id of a hold: its line, or false when there is none; and whether that is to be written.
local lines, unwritten = {}, {}
-- By sorted set and id: a score, or false for one that is to be taken out.
local scores = {}

local function field_of_sale(field)
  if fields[field] == nil then
    fields[field] = call('HGET', SALE, field)
  end
  return fields[field]
end

local function change(field, n)
  if gathering then
    changes[field] = (changes[field] or 0) + n
  else
    call('HINCRBY', SALE, field, n)
  end
end

-- A counter as it is with what was gathered; nothing when there is none.
local function level(field)
  local written = field_of_sale(field)
  return written and tonumber(written) + (changes[field] or 0)
end

local function line_of(id)
  if lines[id] == nil then
    lines[id] = call('HGET', HOLDS, id)
  end
  return lines[id]
end

-- Writes a hold's line, or takes it away if there is none.
local function write_line(id, line)
  lines[id] = line
  if gathering then
    unwritten[id] = true
  elseif line then
    call('HSET', HOLDS, id, line)
  else
    call('HDEL', HOLDS, id)
  end
end

local function place_in(set, id, at)
  if gathering then
    scores[set] = scores[set] or {}
    scores[set][id] = at
  else
    call('ZADD', set, at, id)
  end
end

local function take_from(set, id)
  if gathering then
    scores[set] = scores[set] or {}
    scores[set][id] = false
  else
    call('ZREM', set, id)
  end
end

-- How many arguments a command gets at most; an even number.
local MOST_ARGUMENTS = 2000

local function call_with(command, key, arguments)
  for from = 1, #arguments, MOST_ARGUMENTS do
    call(command, key, unpack(arguments, from, math.min(from + MOST_ARGUMENTS - 1, #arguments)))
  end
end

-- Writes what was gathered. What a server without memory may refuse comes after what it may not: then either all of this
-- is written, or nothing.
local function write_gathered()
  local removed, set = {}, {}
  for id in pairs(unwritten) do
    if lines[id] then
      set[#set + 1] = id
      set[#set + 1] = lines[id]
    else
      removed[#removed + 1] = id
    end
  end
  local additions = {}
  for key, members in pairs(scores) do
    local gone, placed = {}, {}
    for id, at in pairs(members) do
      if at then
        placed[#placed + 1] = at
        placed[#placed + 1] = id
      else
        gone[#gone + 1] = id
      end
    end
    call_with('ZREM', key, gone)
    additions[key] = placed
  end
  call_with('HDEL', HOLDS, removed)
  call_with('HSET', HOLDS, set)
  for key, placed in pairs(additions) do
    call_with('ZADD', key, placed)
  end
  for field, n in pairs(changes) do
    if n ~= 0 then
      call('HINCRBY', SALE, field, n)
    end
  end
  changes, fields, unwritten, scores = {}, {}, {}, {}
end

local function write(id, hold)
  local parts = {
    hold.stage, hold.customer, hold.order, hold.version, hold.think, hold.currency, hold.units_text, hold.items,
  }
  write_line(id, table.concat(parts, '|'))
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
    if field_of_sale('limit:' .. unit.tier) then
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
    place_in(DEADLINES, id, at)
    add_unpaid(hold.customer, id)
  elseif hold.stage == 'pinned' then
    if tonumber(hold.version) == 0 then
      place_in(LONE, id, now)
    end
    count_pinned(hold.units, 1)
  else
    place_in(ENDED, id, at)
  end
end

-- Takes a hold out of what `put` entered it into, its own line excepted.
local function take_out(id, hold)
  if hold.stage == 'thinking' then
    take_from(DEADLINES, id)
    remove_unpaid(hold.customer, id)
  elseif hold.stage == 'pinned' then
    take_from(LONE, id)
    count_pinned(hold.units, -1)
  else
    take_from(ENDED, id)
  end
end

-- Frees the units of a hold and forgets it.
local function drop(id, hold)
  take_out(id, hold)
  write_line(id, false)
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
  local hold = read(line_of(id))
  if hold and (hold.stage == 'sold' or hold.stage == 'released') then
    write_gathered()
    local till = call('ZSCORE', ENDED, id)
    if not till or tonumber(till) <= now then
      take_from(ENDED, id)
      write_line(id, false)
      return nil
    end
  end
  return hold
end

-- The thinking time that is left of a hold, in milliseconds.
local function think_left(id, hold)
  if hold.stage == 'thinking' then
    write_gathered()
    return string.format('%d', tonumber(call('ZSCORE', DEADLINES, id)) - now)
  end
  return hold.think
end

-- Does the work for each of several items, each with the id of its hold, and writes all of it together. An error of one,
-- which comes before anything of it was gathered, is the whole call's; what was done before it stands.
local function for_each(items, work)
  local ids, told = {}, { 'each' }
  for i, item in ipairs(items) do
    ids[i] = item.id
  end
  for i, line in ipairs(call('HMGET', HOLDS, unpack(ids))) do
    lines[ids[i]] = line
  end
  gathering = true
  local done, problem = pcall(function()
    for i, item in ipairs(items) do
      told[i + 1] = work(item)
    end
  end)
  write_gathered()
  gathering = false
  if not done then
    error(problem, 0)
  end
  return told
end

if #KEYS < 7 or RUN == nil then
  return nonsense('keys')
end
