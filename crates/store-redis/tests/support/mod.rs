//! A `redis-server` of the test's own, on a port and in a folder of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this one")]

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use tempfile::TempDir;

/// A running server, killed when dropped.
pub(crate) struct Server {
    process: Option<Child>,
    pub(crate) port: u16,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// Starts one. It keeps its data over a restart when `arguments` say so.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { process: None, port: 0, folder: TempDir::new().unwrap(), arguments };
        for _ in 0..10 {
            // Another process may take the port before the server does; then the server ends, and the next one is tried.
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.run() {
                return server;
            }
        }
        let log = std::fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
        panic!("redis-server does not start: {log}");
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--logfile", "log", "--dir"]);
        command.arg(self.folder.path()).args(&self.arguments).stdout(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run redis-server ({error}); these tests need it: apt-get install -y redis-server")
        });
        loop {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if self.answers() {
                self.process = Some(process);
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = [0; 5];
        // `+PONG`, or `-NOAU` of a server that wants a password.
        stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer)).is_ok()
            && (&answer == b"+PONG" || &answer == b"-NOAU")
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// The server hangs: connections stay, nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// It is gone.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// It comes back, on the same port.
    pub(crate) fn start_again(&mut self) {
        while !self.run() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `redis-cli` answers, raw.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "--raw"])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot run redis-cli ({error}): apt-get install -y redis-tools"));
        assert!(output.status.success(), "redis-cli {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(format!("redis://127.0.0.1:{}", self.port))
    }

    pub(crate) async fn store(&self) -> RedisStore {
        RedisStore::connect(self.config(), ClockOffset::default()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
