#!lua flags=no-writes
-- KEYS: records of one slot.
-- Answers: seconds, microseconds, and each record or nil. Expiry is judged by the caller.
local time = redis.call('TIME')
local answer = { time[1], time[2] }
for i, key in ipairs(KEYS) do
  answer[i + 2] = redis.call('GET', key)
end
return answer
