//! `packaging/systemd`: systemd takes the units, finds them closed, and what they start runs with the environment they give.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::harness::{Process, Redis, free_port, http};

const UNITS: [&str; 3] = ["grantd.service", "grantd-token-service.service", "grantd-facade.service"];
const KEY: &str = "service-key-of-the-units-0123456789abcdef";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd")
}

/// The values of a setting of a unit, in the order in which they stand there.
fn values(unit: &str, setting: &str) -> Vec<String> {
    let text = std::fs::read_to_string(packaging().join(unit)).unwrap();
    text.lines().filter_map(|line| Some(line.strip_prefix(setting)?.strip_prefix('=')?.to_owned())).collect()
}

/// A root directory that holds the units and what they name.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for dir in ["etc/systemd/system", "usr/local/bin"] {
        std::fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    for unit in UNITS {
        std::fs::copy(packaging().join(unit), root.path().join("etc/systemd/system").join(unit)).unwrap();
    }
    std::fs::copy("/bin/true", root.path().join("usr/local/bin/grantd")).unwrap();
    root
}

async fn analyze(args: &[&str], unit: &str) {
    let root = root();
    let output = Command::new("systemd-analyze")
        .args(args)
        .arg(format!("--root={}", root.path().display()))
        .arg(unit)
        .output()
        .await
        .unwrap_or_else(|error| panic!("systemd-analyze does not start ({error}); run ./script/test install"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{unit}: {said}\n{}", String::from_utf8_lossy(&output.stdout));
    // What it does not know it only warns of. The targets of a real system are not in this root.
    let complaint = said.lines().find(|line| line.contains(".service:"));
    assert_eq!(complaint, None, "{unit}");
}

#[tokio::test]
async fn systemd_takes_the_units_and_finds_them_closed() {
    for unit in UNITS {
        analyze(&["verify", "--man=no", "--recursive-errors=no"], unit).await;
        // Of 100, where 0 is closed; most of what is left is that it speaks to the network.
        analyze(&["security", "--offline=true", "--threshold=15"], unit).await;
    }
}

/// Starts what a unit starts: with its environment and its credentials, the files below `dir`.
fn started(unit: &str, dir: &Path, more: &[(&str, String)]) -> Process {
    let credentials = dir.join("credentials");
    let [command] = values(unit, "ExecStart").try_into().unwrap();
    let arguments = command.strip_prefix("/usr/local/bin/grantd ").unwrap().split(' ').map(str::to_owned);
    for loaded in values(unit, "LoadCredential") {
        let (name, file) = loaded.split_once(':').unwrap();
        assert!(file.starts_with("/etc/grantd/credentials/"), "{unit}: {file}");
        assert!(credentials.join(name).exists(), "{unit}: {name} is no credential that the test has");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
    command.args(arguments).env_clear();
    for assignment in values(unit, "Environment") {
        let (name, value) = assignment.split_once('=').unwrap();
        let value = value
            .replace("%d", credentials.to_str().unwrap())
            .replace("/etc/grantd", dir.to_str().unwrap())
            .replace("/var/lib/grantd", dir.join("state").to_str().unwrap());
        command.env(name, value);
    }
    Process::start(unit, command.envs(more.iter().map(|(name, value)| (*name, value))))
}

async fn until_ready(process: &mut Process, port: u16) {
    let url = format!("http://127.0.0.1:{port}/readyz");
    process
        .until("readiness", || async { http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) })
        .await;
}

#[tokio::test]
async fn what_the_units_start_runs() {
    let redis = Redis::start().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("credentials")).unwrap();
    std::fs::write(dir.path().join("credentials/service-key"), format!("{KEY}\n")).unwrap();
    std::fs::write(dir.path().join("credentials/store-url"), redis.url()).unwrap();
    let (port, grpc) = (free_port(), free_port());
    let config = format!(
        "public_url = \"http://localhost:{port}\"\nupstream = \"http://127.0.0.1:9/mcp\"\n\
         [token_service]\nlisten = \"127.0.0.1:{grpc}\"\nurl = \"http://127.0.0.1:{grpc}\"\n"
    );
    std::fs::write(dir.path().join("grantd.toml"), config).unwrap();
    let mut service = started("grantd-token-service.service", dir.path(), &[]);
    service.until_output("the token service is ready").await;
    assert!(!redis.keys("oauth:user:*").await.is_empty(), "it does not use the store that its credential names");
    let mut facade = started("grantd-facade.service", dir.path(), &[]);
    until_ready(&mut facade, port).await;
    drop((facade, service));

    let other = free_port();
    let more =
        [("GRANTD_LISTEN", format!("127.0.0.1:{other}")), ("GRANTD_PUBLIC_URL", format!("http://localhost:{other}"))];
    let mut whole = started("grantd.service", dir.path(), &more);
    until_ready(&mut whole, other).await;
    assert!(dir.path().join("state/grantd.redb").exists());
}
