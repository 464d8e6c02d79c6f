#!lua
-- KEYS: the names, the expiries. ARGV: member.
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
