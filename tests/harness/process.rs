//! A child process that is killed with its test, and whose output is kept.

use std::{
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
};

/// A port nobody listens on right now.
pub(crate) fn free_port() -> u16 {
    // Below the ports that the system gives to outgoing connections: one of those could take it before its server does.
    // Each test of this process gets another one.
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running program.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    name: String,
}

impl Process {
    /// Starts it; standard output and error are gathered.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}); run ./script/test install"));
        let output = Arc::new(Mutex::new(String::new()));
        gather(child.stdout.take().unwrap(), output.clone());
        gather(child.stderr.take().unwrap(), output.clone());
        Self { child, output, name: name.to_owned() }
    }

    /// Everything it has written.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until `ready` answers true; fails when the process ends first.
    pub(crate) async fn until<F: Future<Output = bool>>(&mut self, what: &str, mut ready: impl FnMut() -> F) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            if ready().await {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended ({status}) before {what}:\n{}", self.name, self.output());
            }
            assert!(tokio::time::Instant::now() < deadline, "{}: no {what}:\n{}", self.name, self.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until its output holds `text`.
    pub(crate) async fn until_output(&mut self, text: &str) {
        self.until_output_times(text, 1).await;
    }

    /// Waits until its output holds `text` so many times.
    pub(crate) async fn until_output_times(&mut self, text: &str, times: usize) {
        let output = self.output.clone();
        self.until(&format!("output {text:?} ({times} times)"), || {
            let found = output.lock().unwrap().matches(text).count() >= times;
            async move { found }
        })
        .await;
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal by name.
    pub(crate) async fn signal(&self, signal: &str) {
        let pid = self.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(Duration::from_secs(30), self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} does not end:\n{}", self.name, self.output.lock().unwrap()))
            .unwrap()
    }

    /// Kills it and waits.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- output of {} ----\n{}", self.name, self.output());
        }
    }
}

fn gather(from: impl AsyncRead + Unpin + Send + 'static, into: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut into = into.lock().unwrap();
            into.push_str(&line);
            into.push('\n');
        }
    });
}
