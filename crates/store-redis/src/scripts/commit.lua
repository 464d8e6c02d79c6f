#!lua
-- KEYS: those of the preconditions, of the puts, of the deletes.
-- ARGV: clock offset in ms, commit id, channel, number of preconditions, of puts, of deletes;
--       for each precondition the version that must be there, or '-' for absence;
--       for each put when it expires (ms or '-') and the whole record; then the announcements.
-- Answers: 1 committed, now or before; 0 conflict.
--
-- All that can fail comes before the first write: a script that dies half-way is not rolled back.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local id, channel = ARGV[2], ARGV[3]
local preconditions, puts, deletes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local first_put = 6 + preconditions
local first_announcement = first_put + 2 * puts + 1

-- The version of a live record; nil when it is absent or has expired.
local function version(key)
  local head = redis.call('GETRANGE', key, 0, 63)
  if head == '' then
    return nil
  end
  local version, expires_at = string.match(head, '^([%w_-]+) ([%d-]+) ')
  if not version or #version ~= 22 or (expires_at ~= '-' and not tonumber(expires_at)) then
    error({ err = 'GRANTD_CORRUPT a record of kind ' .. (string.match(key, '^[^:]*:([%w-]*):') or '?') ..
      ' does not begin as records do' })
  end
  if expires_at ~= '-' and tonumber(expires_at) <= now then
    return nil
  end
  return version
end

local function announce()
  for i = first_announcement, #ARGV do
    redis.call('PUBLISH', channel, ARGV[i])
  end
end

if puts > 0 and version(KEYS[preconditions + 1]) == id then
  announce()
  return 1
end
for i = 1, preconditions do
  if (version(KEYS[i]) or '-') ~= ARGV[6 + i] then
    return 0
  end
end

-- First, because an ACL may forbid it. Nobody can look at the records before this script has ended.
announce()
-- Deletes before puts, so that a key in both ends up put, and the batch is found again when it is resent.
for i = preconditions + puts + 1, #KEYS do
  redis.call('DEL', KEYS[i])
end
for i = 1, puts do
  local key, expires_at, record = KEYS[preconditions + i], ARGV[first_put + 2 * i - 1], ARGV[first_put + 2 * i]
  if expires_at == '-' then
    redis.call('SET', key, record)
  else
    -- Garbage collection only; the bound is far away and what Redis accepts.
    local ttl = math.min(math.max(tonumber(expires_at) - now, 1), 2 ^ 50)
    redis.call('SET', key, record, 'PX', string.format('%.0f', ttl))
  end
end
return 1
