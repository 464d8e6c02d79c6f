//! Memory, and the time to ready.

use std::time::Instant;

use futures::future::join_all;

use crate::{
    baseline,
    harness::{Client, Deployment, Options},
    heading, median, row,
};

const STREAMS: usize = 1000;
const STARTS: usize = 9;

/// Resident memory in KiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) async fn measure() {
    let upstream = baseline::upstream().await;
    let options = Options { upstream: format!("http://127.0.0.1:{upstream}/mcp"), ..Options::default() };
    let mut deployment = Deployment::embedded(options).await;
    let pair = Client::register(deployment.issuer()).await.pair().await;
    let pid = deployment.processes[0].id();
    let before = resident(pid);
    let http = crate::harness::http();
    let streams = join_all((0..STREAMS).map(|_| {
        let request = http.get(deployment.resource()).bearer_auth(&pair.access).header("accept", "text/event-stream");
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer
        }
    }))
    .await;
    let during = resident(pid);
    drop(streams);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        deployment.processes[0].signal("TERM").await;
        deployment.processes[0].wait().await;
        let began = Instant::now();
        deployment.restart_embedded().await;
        starts.push(began.elapsed().as_secs_f64() * 1e3);
    }
    heading("Size and start, embedded store", &[""]);
    row("resident, signed in once", &[format!("{:.1} MiB", before / 1024.0)]);
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let each = (during - before) / STREAMS as f64;
    row(&format!("more for each of {STREAMS} open event streams"), &[format!("{each:.0} KiB")]);
    row("start to ready, looked at every 20 ms", &[format!("{:.0} ms", median(starts))]);
}
