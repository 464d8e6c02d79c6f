//! grantd store-testkit.
