//! grantd token-service.
