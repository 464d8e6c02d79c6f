//! grantd gate.
