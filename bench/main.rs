//! What grantd costs on the machine it runs on, each time as a ratio to something else in the same run.
//!
//! 1. **The bearer check:** calls of a trivial MCP server, direct, through a proxy that checks nothing (hyper, in a process of
//!    its own), and through the gate: with the answer about the token at hand, asking for it each time, and as a facade that
//!    asks a token service on Redis.
//! 2. **The token endpoint:** refreshes of many grants, beside what the same disk syncs and the same Redis writes in the
//!    same time.
//! 3. **Size and start:** resident memory with many open event streams, and the time from start to ready.
//!
//! `cargo bench -p grantd --bench cost` prints a table. Everything shares the machine: this load generator, the server and
//! grantd. So rates are lower than a machine for each would give; the ratios are what carries over. Contenders take turns, and
//! each figure is the median of its turns.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement: it fails by panicking and prints what it saw"
)]

mod baseline;
mod bearer;
#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the harness of the tests; not all of it is needed here")]
mod harness;
mod load;
mod size;
mod tokens;

/// How often each contender has its turn.
const TURNS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match std::env::var(baseline::PROXY_OF) {
        Ok(upstream) => runtime.block_on(baseline::proxy(&upstream)),
        Err(_) => runtime.block_on(async {
            bearer::measure().await;
            tokens::measure().await;
            size::measure().await;
        }),
    }
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn heading(what: &str, columns: &[&str]) {
    println!("\n{what:<44}{}", columns.iter().map(|column| format!("{column:>14}")).collect::<String>());
}

fn row(what: &str, figures: &[String]) {
    println!("{what:<44}{}", figures.iter().map(|figure| format!("{figure:>14}")).collect::<String>());
}
