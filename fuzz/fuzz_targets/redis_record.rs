#![no_main]

#[path = "../../crates/store-redis/src/record.rs"]
#[allow(dead_code, unreachable_pub, reason = "only a part is looked at")]
mod record;
#[path = "../../crates/store-redis/src/record_properties.rs"]
mod record_properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| record_properties::redis_record(input));
