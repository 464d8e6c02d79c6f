//! What the tests share: processes, a person, a client.

pub(crate) mod client;
pub(crate) mod deployment;
pub(crate) mod fleet;
pub(crate) mod lossy;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod redis;
pub(crate) mod relay;
pub(crate) mod signer;
pub(crate) mod site;

pub(crate) use client::Client;
pub(crate) use deployment::{Deployment, Options};
pub(crate) use process::{Process, free_port};
pub(crate) use redis::Redis;
pub(crate) use signer::Signer;
pub(crate) use site::Site;

/// The password of the user `owner` in every test.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// An HTTP client that follows nothing, so that every answer is seen.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap()
}

/// The text between two markers.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
