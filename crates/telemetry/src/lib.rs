//! grantd telemetry.
