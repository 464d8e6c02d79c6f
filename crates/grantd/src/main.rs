//! grantd.
fn main() {}
