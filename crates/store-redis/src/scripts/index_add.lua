#!lua
-- KEYS: the names (every score 0, so ordered by name), the expiries (score: when, in ms, or +inf).
-- ARGV: clock offset in ms, member, when it expires (ms or '+inf').
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
-- A bounded sweep, so that an index does not outgrow what is alive in it.
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now), 'LIMIT', 0, 100)
if #expired > 0 then
  redis.call('ZREM', KEYS[1], unpack(expired))
  redis.call('ZREM', KEYS[2], unpack(expired))
end
redis.call('ZADD', KEYS[1], 0, ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
-- The whole lives as long as the member that lives longest.
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
for _, key in ipairs(KEYS) do
  if last == 'inf' then
    redis.call('PERSIST', key)
  else
    local ttl = math.min(math.max(tonumber(last) - now, 1), 2 ^ 50)
    redis.call('PEXPIRE', key, string.format('%.0f', ttl))
  end
end
return 1
