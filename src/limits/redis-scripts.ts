/**
 * What runs inside Redis. Every key of a script carries its tenant's {hash tag}, so a tenant's counters live in one slot of
 * a cluster. Time is Redis's own. Counters expire by themselves when nothing of them counts any more.
 *
 * A window is a hash: `s` the sum, `f` the first part that may be there, and each part's amount under its number. A
 * calendar window is a hash with `s`. Slots are a sorted set of operations by when they expire, unless they are renewed.
 * An operation is a key of its own: `t`, and for each counter where its amount was put and how much; `s` when it is settled.
 */
import { slotWaitMs, windowParts } from "./limit-state.ts";

const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local parts = ${windowParts}
local function text(number) return string.format('%.0f', number) end

-- What a window holds, and the first part of it that may be there; parts that are over are taken out.
local function readWindow(key, part_ms)
  local current = math.floor(now / part_ms)
  local stored = redis.call('HMGET', key, 's', 'f')
  local sum, first = tonumber(stored[1]) or 0, tonumber(stored[2]) or current
  local oldest = current - parts
  if first < oldest then
    local over = {}
    for part = math.max(first, oldest - 2 * parts), oldest - 1 do over[#over + 1] = text(part) end
    local amounts = redis.call('HMGET', key, unpack(over))
    for i = 1, #over do sum = sum - (tonumber(amounts[i]) or 0) end
    redis.call('HDEL', key, unpack(over))
    first = oldest
    redis.call('HSET', key, 's', text(sum), 'f', text(first))
  end
  return sum, first, current
end

-- Milliseconds until a window holds no more than what is allowed.
local function waitFor(key, part_ms, sum, first, current, allowed)
  if sum <= allowed then return 0 end
  -- A server that took over may have a clock that is behind.
  if first > current then return math.max(1, math.ceil((first + 1 + parts) * part_ms - now)) end
  local names = {}
  for part = first, current do names[#names + 1] = text(part) end
  local amounts = redis.call('HMGET', key, unpack(names))
  for i = 1, #names do
    sum = sum - (tonumber(amounts[i]) or 0)
    if sum <= allowed then return math.max(1, math.ceil((first + i + parts) * part_ms - now)) end
  end
  return 1
end

local function addToWindow(key, part_ms, part, amount)
  local before = tonumber(redis.call('HGET', key, text(part))) or 0
  local after = math.max(0, before + amount)
  redis.call('HSET', key, text(part), text(after))
  redis.call('HINCRBY', key, 's', text(after - before))
  local first = tonumber(redis.call('HGET', key, 'f'))
  if not first or part < first then redis.call('HSET', key, 'f', text(part)) end
  redis.call('PEXPIRE', key, math.ceil((parts + 2) * part_ms))
end
`;

/**
 * KEYS: the operation, then the counters. ARGV: mode (`take`, `look`), name of the operation, how long slots are held, how
 * long the operation is remembered, then for each counter kind, limit, need, length of the window, its end, seed or -1.
 * Answers {verdict, now, then for each counter used, wait, reset, at}; verdicts: 0 taken, 1 refused, 2 unseeded.
 */
export const takeScript = `${prelude}
local mode, member, hold_ms, remember_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local count = #KEYS - 1
local known = mode == 'take' and redis.call('GET', KEYS[1])
local state, verdict = {}, 0
for i = 1, count do
  local key, base = KEYS[i + 1], 4 + (i - 1) * 6
  local c = { key = key, kind = ARGV[base + 1], limit = tonumber(ARGV[base + 2]), need = tonumber(ARGV[base + 3]),
    part_ms = tonumber(ARGV[base + 4]) / parts, ends = tonumber(ARGV[base + 5]), seed = tonumber(ARGV[base + 6]), wait = 0, at = 0 }
  if c.kind == 'window' then
    c.used, c.first, c.current = readWindow(key, c.part_ms)
  elseif c.kind == 'calendar' then
    c.used = tonumber(redis.call('HGET', key, 's'))
    if not c.used and c.seed < 0 and mode == 'take' then return { 2, now } end
    if not c.used then
      c.used = math.max(0, c.seed)
      c.fresh = true
    end
  else
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    c.used = redis.call('ZCARD', key)
  end
  local full = c.used >= c.limit or c.used + c.need > c.limit
  if full and not known then
    verdict = 1
    if c.kind == 'window' then
      c.wait = math.max(1, waitFor(key, c.part_ms, c.used, c.first, c.current, c.limit - math.max(1, c.need)))
    elseif c.kind == 'calendar' then
      c.wait = math.max(1, c.ends - now)
    else
      c.wait = ${slotWaitMs}
    end
  end
  state[i] = c
end

local places = {}
if known then
  for place in string.gmatch(known, '[^ ]+') do places[#places + 1] = place end
end
local answer = { verdict, now }
for i = 1, count do
  local c = state[i]
  if mode == 'take' and verdict == 0 and not known then
    if c.kind == 'window' then
      c.at = c.current
      addToWindow(c.key, c.part_ms, c.at, c.need)
    elseif c.kind == 'calendar' then
      if c.fresh then redis.call('HSET', c.key, 's', text(c.used)) end
      redis.call('HINCRBY', c.key, 's', text(c.need))
      redis.call('PEXPIREAT', c.key, text(c.ends + 60000))
    else
      redis.call('ZADD', c.key, text(now + hold_ms), member)
      redis.call('PEXPIRE', c.key, hold_ms)
    end
    c.used = c.used + c.need
  elseif known then
    c.at = tonumber(places[2 * i]) or 0
  end
  local reset = 0
  if c.kind == 'calendar' then reset = math.max(1, c.ends - now) end
  if c.kind == 'window' and c.used > 0 then reset = math.ceil((parts + 1) * c.part_ms) end
  answer[#answer + 1] = c.used
  answer[#answer + 1] = c.wait
  answer[#answer + 1] = reset
  answer[#answer + 1] = c.at
end
if mode == 'take' and verdict == 0 and not known then
  local note = { 't' }
  for i = 1, count do
    note[#note + 1] = text(state[i].at)
    note[#note + 1] = text(state[i].need)
  end
  redis.call('SET', KEYS[1], table.concat(note, ' '), 'PX', remember_ms)
end
return answer
`;

/**
 * KEYS: the operation, then the counters. ARGV: name of the operation, how long it is remembered, then for each counter
 * kind, length of the window, its end, part, total. Where the take is known, what it put there is replaced by the total;
 * where it is not, it was let in while Redis was away, or Redis has lost it: then the total counts. Answers 1, or 0 where
 * it was settled before.
 */
export const settleScript = `${prelude}
local member, remember_ms = ARGV[1], tonumber(ARGV[2])
local known = redis.call('GET', KEYS[1])
if known == 's' then return 0 end
redis.call('SET', KEYS[1], 's', 'PX', remember_ms)
local places = {}
for place in string.gmatch(known or '', '[^ ]+') do places[#places + 1] = place end
for i = 1, #KEYS - 1 do
  local key, base = KEYS[i + 1], 2 + (i - 1) * 5
  local kind, part_ms, ends = ARGV[base + 1], tonumber(ARGV[base + 2]) / parts, tonumber(ARGV[base + 3])
  local part = tonumber(places[2 * i]) or tonumber(ARGV[base + 4])
  local amount = tonumber(ARGV[base + 5]) - (tonumber(places[2 * i + 1]) or 0)
  if kind == 'window' then
    local _, _, current = readWindow(key, part_ms)
    part = math.min(part, current)
    if amount ~= 0 and part >= current - parts then addToWindow(key, part_ms, part, amount) end
  elseif kind == 'calendar' then
    local spent = tonumber(redis.call('HGET', key, 's'))
    if spent and amount ~= 0 and ends > now then redis.call('HSET', key, 's', text(math.max(0, spent + amount))) end
  else
    redis.call('ZREM', key, member)
  end
end
return 1
`;

/** KEYS: sets of slots. ARGV: how long slots are held, then names of operations. Renews those that still hold one. */
export const renewScript = `${prelude}
local hold_ms = tonumber(ARGV[1])
for i = 1, #KEYS do
  for j = 2, #ARGV do redis.call('ZADD', KEYS[i], 'XX', text(now + hold_ms), ARGV[j]) end
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('PEXPIRE', KEYS[i], hold_ms) end
end
return 1
`;

/** KEYS: a key of the tenant. Writes as the others do: where memory is full or the server only reads, it fails as they would. */
export const probeScript = `
redis.call('SET', KEYS[1], '1', 'PX', 60000)
return 1
`;

/** KEYS: counters. ARGV: the kind of each. A calendar window begins again at 0, so that it is not filled from the ledger. */
export const resetScript = `
for i = 1, #KEYS do
  if ARGV[i] == 'window' then redis.call('DEL', KEYS[i]) end
  if ARGV[i] == 'calendar' and redis.call('EXISTS', KEYS[i]) == 1 then redis.call('HSET', KEYS[i], 's', '0') end
end
return 1
`;
