-- The meter in Redis: see pipelines/limits/protocol.py, and memory.py, which says the same in Python.
-- KEYS[1]: prefix of all keys. ARGV[1]: "admit" or "settle". ARGV[2]: the asks or what was used, as JSON.
-- ARGV[3]: lease, settled, place, in microseconds, as JSON. ARGV[4]: the time in microseconds, else the server's.
-- A bucket is "full_at back line limit window", a record "p since" or "c key weight expected …": times in microseconds.
local prefix = KEYS[1]
local lease_for, settled_for, place_for = unpack(cjson.decode(ARGV[3]))
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local buckets, changed = {}, {}

local function words(text)
  local found = {}
  for word in string.gmatch(text, '%S+') do found[#found + 1] = word end
  return found
end

local function stored_bucket(key)
  if buckets[key] == nil then
    local raw = redis.call('GET', prefix .. 'b:' .. key)
    if raw then
      local w = words(raw)
      buckets[key] = {
        full_at = tonumber(w[1]), back = tonumber(w[2]), line = tonumber(w[3]),
        limit = tonumber(w[4]), window = tonumber(w[5]),
      }
    else
      buckets[key] = false
    end
  end
  return buckets[key]
end

local function bucket_of(key, limit, window)
  local bucket = stored_bucket(key)
  if not bucket then
    bucket = { full_at = 0, back = 0, line = 0, limit = limit, window = window }
    buckets[key] = bucket
  end
  if bucket.limit ~= limit or bucket.window ~= window then
    local scale = bucket.limit * window / (limit * bucket.window)
    for _, name in ipairs({ 'full_at', 'back', 'line' }) do
      bucket[name] = now + math.max(0, bucket[name] - now) * scale
    end
    bucket.limit, bucket.window = limit, window
    changed[key] = true
  end
  return bucket
end

local function keep(id, record, microseconds)
  redis.call('SET', prefix .. 'j:' .. id, record, 'PX', math.ceil(microseconds / 1000))
end

local function wait_for(bucket, weight, expected, placed)
  local step, begin = bucket.window / bucket.limit, math.max(bucket.full_at, now)
  local room = begin + math.min(weight, bucket.limit) * step - bucket.window - now
  if placed and room <= 0 then return room end
  local behind = math.max(begin, bucket.back)
  if not placed then behind = math.max(behind, bucket.line) end
  return math.max(room, behind + math.min(expected, bucket.limit) * step - bucket.window - now)
end

local function settle(id, tokens)
  local raw = redis.call('GET', prefix .. 'j:' .. id)
  local record = raw and words(raw)
  if not record or record[1] ~= 'c' then return end
  local kept = { 'c' }
  for n = 2, #record, 3 do
    local key, weight, expected = record[n], tonumber(record[n + 1]), tonumber(record[n + 2])
    local bucket = stored_bucket(key)
    if bucket and tokens >= 0 then
      local step = bucket.window / bucket.limit
      local more = (tokens - math.min(weight, bucket.limit)) * step
      if more > 0 then bucket.full_at = math.max(bucket.full_at, now) end
      bucket.full_at = bucket.full_at + more
      local ahead = (tokens - math.min(expected, bucket.limit)) * step
      if bucket.back > now then bucket.back = bucket.back + ahead end
      if bucket.line > now then bucket.line = bucket.line + ahead end
      changed[key] = true
    end
    kept[#kept + 1] = key .. ' 0 0'
  end
  redis.call('ZREM', prefix .. 'leases', id)
  keep(id, table.concat(kept, ' '), settled_for)
end

local function admit(id, patience, charges)
  local raw = redis.call('GET', prefix .. 'j:' .. id)
  local record = raw and words(raw)
  if record and record[1] == 'c' then return { 0, 0, 0 } end
  local placed, wait, which = record ~= false and record ~= nil, 0, 0
  for n, c in ipairs(charges) do
    local mine = wait_for(bucket_of(c[1], c[4], c[5]), c[2], c[3], placed)
    if n == 1 or mine > wait then wait, which = mine, n - 1 end
  end
  if wait <= 1 then -- what rounding leaves of no wait at all
    local reserved = { 'c' }
    for _, c in ipairs(charges) do
      local bucket = buckets[c[1]]
      bucket.full_at = math.max(bucket.full_at, now) + math.min(c[2], bucket.limit) * bucket.window / bucket.limit
      changed[c[1]] = true
      if c[6] then reserved[#reserved + 1] = string.format('%s %.3f %.3f', c[1], c[2], c[3]) end
    end
    redis.call('ZADD', prefix .. 'leases', string.format('%.0f', now + lease_for), id)
    keep(id, table.concat(reserved, ' '), 2 * lease_for)
    return { 0, 0, which }
  end
  local since = placed and tonumber(record[2]) or now
  if now - since + wait > patience then
    redis.call('DEL', prefix .. 'j:' .. id)
    return { 2, wait, which }
  end
  for _, c in ipairs(charges) do
    local bucket = buckets[c[1]]
    local begin = math.max(bucket.full_at, now, bucket.back)
    local more = math.min(c[3], bucket.limit) * bucket.window / bucket.limit
    if placed then bucket.back = begin + more else bucket.line = math.max(begin, bucket.line) + more end
    changed[c[1]] = true
  end
  keep(id, string.format('p %.0f', since), wait + place_for)
  return { 1, wait, which }
end

local answers = {}
local input = cjson.decode(ARGV[2])
if ARGV[1] == 'admit' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'leases', '-inf', now, 'LIMIT', 0, 100)) do
    settle(id, 0)
    redis.call('ZREM', prefix .. 'leases', id)
  end
  for n, ask in ipairs(input) do answers[n] = admit(ask[1], ask[2], ask[3]) end
else
  for _, each in ipairs(input) do settle(each[1], each[2]) end
end

for key in pairs(changed) do
  local b = buckets[key]
  local lasts = math.max(b.full_at, b.back, b.line, now) - now + b.window
  redis.call('SET', prefix .. 'b:' .. key,
    string.format('%.0f %.0f %.0f %.0f %.0f', b.full_at, b.back, b.line, b.limit, b.window),
    'PX', math.ceil(lasts / 1000) + 60000)
end
return cjson.encode(answers)
