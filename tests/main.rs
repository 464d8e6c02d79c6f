//! Black-box tests of the real binary: on the embedded store, and as one `token-service` with two `facade`s on a real
//! Redis. Every test starts its own processes on its own ports with its own store.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `architecture` | what ARCHITECTURE.md says of the crates and their tests |
//! | `doctor` | `grantd doctor` finds nothing wrong with grantd |
//! | `balance` | several token services: one dies or drains |
//! | `drain` | stopping under load |
//! | `events` | what an operator's log says |
//! | `flow` | discovery, registration, sign-in, consent, code, tokens, bearer check, refresh |
//! | `bad_input` | every line of the table of bad input |
//! | `refresh` | concurrency, overlap, replay |
//! | `redis` | what an operator sees with `redis-cli` |
//! | `lifecycle` | one credential in many hands, lossy hops, thieves; the clock driven |
//! | `resources` | several resources, a public URL with a path, scopes of single calls |
//! | `outage` | Redis, TokenService or upstream away |
//! | `attack` | what attackers try |
//! | `binary` | command line, configuration, start and stop |
//! | `metrics` | what is counted, scraped and over OTLP |
//! | `names` | a nameserver of the machine is silent |
//! | `operations` | probes and the steps of stopping, in every role |
//! | `takeover` | a facade or token service stops under load |
//! | `telemetry` | one trace per request, and no secret anywhere |
//! | `tls` | certificates between facade and token service |
//! | `proxies` | nginx and Caddy in front, as `examples/proxies` has them |
//! | `units` | the units of systemd |
//! | `upstreams` | real MCP servers that others wrote, streaming included |
//! | `callers` | another service in another language, over gRPC |
//! | `clients` | real MCP clients that others wrote: several at once, and without a person |
//! | `compatibility` | each of them through connect, expiry, restart, revoked grant and lost registration |
//! | `client_assertions`, `client_metadata` | clients with a metadata document |
//! | `products` | products that no test can drive: their requests, replayed |
//! | `browser` | a real Chromium |

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking and says why"
)]

mod architecture;
mod attack;
mod bad_input;
mod balance;
mod binary;
mod browser;
mod callers;
mod client_assertions;
mod client_metadata;
mod clients;
mod compatibility;
mod conformance;
mod doctor;
mod drain;
mod events;
mod flow;
mod harness;
mod lifecycle;
mod management;
mod metrics;
mod names;
mod operations;
mod outage;
mod partition;
mod products;
mod proxies;
mod redis;
/// Sentinels and Clusters, as the tests of the Redis store start them.
#[path = "../crates/store-redis/tests/support/mod.rs"]
mod redis_support;
mod refresh;
mod requirements;
mod resources;
mod takeover;
mod telemetry;
mod tls;
mod units;
mod upstreams;
mod web_client;
