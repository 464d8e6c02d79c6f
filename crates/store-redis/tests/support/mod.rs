//! A `redis-server` of the test's own, on a port and in a folder of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of this one")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use tempfile::TempDir;
use tokio::time::Instant;

pub(crate) mod certificates;
pub(crate) mod cluster;
pub(crate) mod sentinel;
pub(crate) mod traffic;

/// A bound on patience for what comes by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, killed when dropped.
pub(crate) struct Server {
    process: Option<Child>,
    pub(crate) port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    /// What `redis-cli` is told besides.
    pub(crate) cli: Vec<String>,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    // Below the ports that the system gives to outgoing connections: one of those could take it before its server does.
    // Each test of this process gets another one.
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    // Far from those of other helpers that may run in this process.
    static NEXT: AtomicU32 = AtomicU32::new(COUNT / 2);
    loop {
        let next = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits, blocking, for what comes by itself.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Server {
    /// Starts one. It keeps its data over a restart when `arguments` say so.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::start_with(|_, _| [vec!["--save".to_owned(), String::new()], arguments.clone()].concat())
    }

    /// Starts one with arguments for its port and its folder.
    pub(crate) fn start_with(arguments: impl Fn(u16, &Path) -> Vec<String>) -> Self {
        let mut server =
            Self { process: None, port: 0, folder: TempDir::new().unwrap(), arguments: vec![], cli: vec![] };
        for _ in 0..10 {
            // Another process may take the port before the server does; then the server ends, and the next one is tried.
            server.port = free_port();
            server.arguments = arguments(server.port, server.folder.path());
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
        // A file of configuration, where there is one, comes first.
        let (file, arguments) = match self.arguments.split_first() {
            Some((first, rest)) if !first.starts_with("--") => (Some(first), rest),
            _ => (None, &self.arguments[..]),
        };
        command.args(file).args(["--bind", "127.0.0.1", "--port", &port, "--logfile", "log", "--dir"]);
        command.arg(self.folder.path()).args(arguments).stdout(Stdio::null());
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

    /// It is gone, at once.
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
            .args(&self.cli)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cannot run redis-cli ({error}): apt-get install -y redis-tools"));
        assert!(output.status.success(), "redis-cli {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
    }

    /// `redis-cli`, for what answers `OK`.
    pub(crate) fn order(&self, arguments: &[&str]) {
        assert_eq!(self.cli(arguments), "OK", "{arguments:?}");
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
