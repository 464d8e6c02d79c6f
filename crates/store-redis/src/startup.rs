//! What is checked before grantd relies on a Redis.
//!
//! By `INFO` alone: it shows the eviction policy as well as `CONFIG GET` does, which managed services and careful ACLs
//! deny.

use std::time::Duration;

use fred::{interfaces::ClientLike as _, types::InfoKind};

use crate::{
    connection::Connections,
    error::{self, ConnectError},
};

/// How often to ask again while Redis loads its data.
const LOADING: Duration = Duration::from_millis(200);

/// Refuses a Redis that is too old, or that may evict records.
pub(crate) async fn check(connections: &Connections) -> Result<(), ConnectError> {
    let server = info(connections, InfoKind::Server).await?;
    let memory = info(connections, InfoKind::Memory).await?;
    judge(&server, &memory)
}

async fn info(connections: &Connections, section: InfoKind) -> Result<String, ConnectError> {
    for _ in 0..50 {
        let Some(client) = connections.any() else { break };
        match client.info::<String>(Some(section.clone())).await {
            Err(cause) if cause.details().starts_with("LOADING") => tokio::time::sleep(LOADING).await,
            answer => return answer.map_err(|cause| error::connect(&cause)),
        }
    }
    Err(ConnectError::Unreachable("it is still loading its data, or went away".into()))
}

fn judge(server: &str, memory: &str) -> Result<(), ConnectError> {
    // Valkey names the Redis version it is compatible with.
    let version = field(server, "redis_version").unwrap_or("unknown");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(ConnectError::TooOld(version.to_owned()));
    }
    match field(memory, "maxmemory_policy") {
        Some("noeviction") => Ok(()),
        policy => Err(ConnectError::Evicts(policy.unwrap_or("unknown").to_owned())),
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.split_once(':').filter(|(of, _)| *of == name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_evicting_servers_are_refused() {
        let server = |version: &str| format!("# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\n");
        let memory = |policy: &str| format!("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n");
        for (version, policy, refusal) in [
            ("7.0.15", "noeviction", ""),
            ("8.2.0", "noeviction", ""),
            ("10.0.0", "noeviction", ""),
            ("6.2.14", "noeviction", "this Redis is version 6.2.14"),
            ("", "noeviction", "this Redis is version "),
            ("7.2.4", "allkeys-lru", "maxmemory-policy allkeys-lru"),
            ("7.2.4", "volatile-ttl", "maxmemory-policy volatile-ttl"),
            ("7.2.4", "", "maxmemory-policy "),
        ] {
            let text = judge(&server(version), &memory(policy)).err().map(|error| error.to_string());
            assert_eq!(text.is_none(), refusal.is_empty(), "{version} {policy}: {text:?}");
            assert!(text.is_none_or(|text| text.contains(refusal)), "{version} {policy}");
        }
        assert!(matches!(judge(&server("7.0.0"), "# Memory\r\n"), Err(ConnectError::Evicts(_))));
    }
}
