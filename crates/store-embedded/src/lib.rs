//! grantd store-embedded.
