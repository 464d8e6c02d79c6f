#![no_main]

#[path = "../../crates/grantd/src/http/address.rs"]
mod address;
#[path = "../../crates/grantd/src/http/address_properties.rs"]
mod address_properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| address_properties::forwarded_for(input));
