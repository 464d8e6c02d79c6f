//! grantd store-redis.
