//! `grantd health`: asks a running grantd whether it is well, for images that hold no other program that could.

use std::time::Duration;

use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::{cli::Health, error::Error, terminal};

/// The longest answer that is shown.
const LONGEST: usize = 4096;

/// Succeeds when the answer is a success, in time.
pub(crate) async fn run(command: Health) -> Result<(), Error> {
    let url: Uri = command.url.parse().map_err(|_| usage(&command.url))?;
    if url.scheme_str() != Some("http") || url.host().is_none() {
        return Err(usage(&command.url));
    }
    let answered = tokio::time::timeout(Duration::from_secs(command.timeout), ask(url));
    let (status, body) = answered
        .await
        .map_err(|_| Error::failed(format!("{}: no answer in {} s", command.url, command.timeout)))?
        .map_err(Error::because(format!("{}: no answer", command.url)))?;
    if status.is_success() {
        terminal::say(body.trim());
        return Ok(());
    }
    Err(Error::failed(format!("{}: {status} {}", command.url, body.trim())))
}

async fn ask(url: Uri) -> Result<(StatusCode, String), crate::error::Cause> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(url).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST).collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn usage(url: &str) -> Error {
    Error::Usage(format!("{url:?}: write a URL such as http://127.0.0.1:8080/readyz"))
}
