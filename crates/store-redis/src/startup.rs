//! What is checked before grantd relies on a Redis, and looked at again when there may be another primary.
//!
//! By `INFO` alone: it shows the eviction policy as well as `CONFIG GET` does, which managed services and careful ACLs
//! deny.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::{ClientLike, ServerInterface as _},
    types::{InfoKind, Value},
};

use crate::{
    connection::Connections,
    error::{self, ConnectError},
    line,
};

/// How often to ask again while Redis loads its data.
const LOADING: Duration = Duration::from_millis(200);

/// Refuses a Redis of which any primary is too old, or may evict records. Where commits are to wait for replicas, the ACL
/// must let them.
pub(crate) async fn check(connections: &Connections, wait_replicas: u8) -> Result<(), ConnectError> {
    let client = connections.any().ok_or_else(gone)?;
    look(&client).await?;
    if wait_replicas > 0 {
        for primary in line::primaries(&client) {
            let client = client.with_options(&line::at(primary));
            client.wait::<Value>(0, 1).await.map_err(|cause| error::connect(&cause))?;
        }
    }
    Ok(())
}

/// Looks again, since others may be primaries now. Then it is too late to refuse them.
pub(crate) fn look_again(client: Client) {
    tokio::spawn(async move {
        if let Err(cause @ (ConnectError::TooOld(_) | ConnectError::Evicts(_))) = look(&client).await {
            tracing::error!(event = "store.unfit", %cause, "a Redis that is primary now cannot be relied on");
        }
    });
}

async fn look(client: &Client) -> Result<(), ConnectError> {
    for primary in line::primaries(client) {
        let client = client.with_options(&line::at(primary));
        let server = info(&client, InfoKind::Server).await?;
        let memory = info(&client, InfoKind::Memory).await?;
        judge(&server, &memory)?;
    }
    Ok(())
}

/// Which server this is: it has another id after every start.
pub(crate) async fn run_id(client: &Client) -> Option<String> {
    let server = info(client, InfoKind::Server).await.ok()?;
    field(&server, "run_id").map(str::to_owned)
}

async fn info(client: &impl ClientLike, section: InfoKind) -> Result<String, ConnectError> {
    for _ in 0..50 {
        match client.info::<String>(Some(section.clone())).await {
            Err(cause) if cause.details().starts_with("LOADING") => tokio::time::sleep(LOADING).await,
            answer => return answer.map_err(|cause| error::connect(&cause)),
        }
    }
    Err(gone())
}

fn gone() -> ConnectError {
    ConnectError::Unreachable("it is still loading its data, or went away".into())
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
