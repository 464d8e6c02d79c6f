//! grantd facade.
