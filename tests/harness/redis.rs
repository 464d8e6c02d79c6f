//! A Redis of its own for a test.

use tokio::process::Command;

use super::{Process, free_port};

/// A running `redis-server`.
pub(crate) struct Redis {
    pub(crate) port: u16,
    dir: tempfile::TempDir,
    process: Process,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = Self::spawn(port, &dir).await;
        Self { port, dir, process }
    }

    async fn spawn(port: u16, dir: &tempfile::TempDir) -> Process {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--appendonly",
            "yes",
            "--save",
            "",
            "--dir",
        ]);
        command.arg(dir.path());
        let mut process = Process::start("redis-server", &mut command);
        process.until_output("Ready to accept connections").await;
        process
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops it, as an outage does.
    pub(crate) async fn stop(&mut self) {
        self.process.signal("TERM").await;
        self.process.wait().await;
    }

    /// Starts it again with what it had.
    pub(crate) async fn start_again(&mut self) {
        self.process = Self::spawn(self.port, &self.dir).await;
    }

    /// What an operator would type.
    pub(crate) async fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args).output().await.unwrap();
        assert!(output.status.success(), "redis-cli {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) async fn keys(&self, pattern: &str) -> Vec<String> {
        self.cli(&["--raw", "KEYS", pattern]).await.lines().map(str::to_owned).collect()
    }
}
