#!lua flags=no-writes
-- KEYS: the names, the expiries.
-- ARGV: clock offset in ms, where to begin ('-', or '(' and a name), most members to answer, most to look at.
-- Answers: '1' and where to go on, or '0' and ''; then the members.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local from, limit, bound = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local answer, found, seen = { '0', '' }, 0, 0
while true do
  local names = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, 256)
  if #names == 0 then
    return answer
  end
  local expiries = redis.call('ZMSCORE', KEYS[2], unpack(names))
  for i, name in ipairs(names) do
    local expires_at = expiries[i]
    if expires_at and (expires_at == 'inf' or tonumber(expires_at) > now) then
      if found == limit then
        answer[1], answer[2] = '1', answer[found + 2]
        return answer
      end
      found = found + 1
      answer[found + 2] = name
    end
    seen = seen + 1
    if seen == bound then
      answer[1], answer[2] = '1', name
      return answer
    end
  end
  from = '(' .. names[#names]
end
