//! Programs of other languages: real MCP servers and clients that others wrote.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use super::Process;

fn tests_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

/// Where tests leave what people look at.
pub(crate) fn output_dir(name: &str) -> PathBuf {
    let dir = tests_dir().join("output").join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A command for a script below `tests/`, by its ending.
fn script(path: &str) -> Command {
    let file = tests_dir().join(path);
    assert!(file.exists(), "{} is missing", file.display());
    let mut command = match path.rsplit('.').next() {
        Some("py") => Command::new(tests_dir().join("clients/.venv/bin/python")),
        _ => Command::new("node"),
    };
    command.arg(file).current_dir(tests_dir().join("clients"));
    command
}

/// Runs a client to its end; gives the JSON it prints last.
pub(crate) async fn run(path: &str, args: &[&str]) -> Value {
    let (status, body, log) = attempt(path, args).await;
    assert!(status, "{path} failed: {body}\n{log}");
    body
}

/// Runs a client that may fail.
pub(crate) async fn attempt(path: &str, args: &[&str]) -> (bool, Value, String) {
    attempt_with(path, args, &[]).await
}

/// Runs a client that may fail, with more in its environment.
pub(crate) async fn attempt_with(path: &str, args: &[&str], env: &[(&str, &str)]) -> (bool, Value, String) {
    let mut command = script(path);
    command.args(args).envs(env.iter().copied()).kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(Duration::from_secs(180), command.output())
        .await
        .unwrap_or_else(|_| panic!("{path} {args:?} takes too long"))
        .unwrap_or_else(|error| panic!("{path} does not start ({error}); run ./script/test install"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let body = out.trim().lines().last().and_then(|line| serde_json::from_str(line).ok());
    (output.status.success(), body.unwrap_or_else(|| panic!("{path} printed no JSON: {out}\n{log}")), log)
}

/// A running MCP server.
pub(crate) struct Upstream {
    pub(crate) url: String,
    _process: Process,
}

impl Upstream {
    pub(crate) async fn typescript() -> Self {
        Self::start("upstreams/typescript-server.mjs", &["0", "--record"]).await
    }

    pub(crate) async fn python() -> Self {
        Self::start("upstreams/python_server.py", &["0", "--record"]).await
    }

    /// One that speaks HTTP+SSE; its URL ends in `/mcp` like those of the others, where nothing is.
    pub(crate) async fn http_sse() -> Self {
        Self::start("upstreams/http-sse-server.mjs", &["0"]).await
    }

    async fn start(path: &str, args: &[&str]) -> Self {
        let mut command = script(path);
        command.args(args);
        let mut process = Process::start(path, &mut command);
        process.until_output("{\"port\"").await;
        let output = process.output();
        let line = output.lines().find(|line| line.starts_with("{\"port\"")).unwrap();
        let body: Value = serde_json::from_str(line).unwrap();
        Self { url: format!("http://127.0.0.1:{}/mcp", body["port"]), _process: process }
    }
}
