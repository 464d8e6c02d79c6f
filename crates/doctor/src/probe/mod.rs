//! Asking, as clients ask. What is asked next follows from what was answered; nothing is judged here.
//!
//! One file for each part of the way: `mcp`, `metadata`, `registration`, `authorize`, `token`; and with a person `sign_in`,
//! to whom `callback` listens.

use std::{path::PathBuf, time::Duration};

use grantd_oauth_types::CodeVerifier;
use http::Method;
use rand::{TryRng as _, rngs::SysRng};
use tokio::net::TcpListener;
use url::Url;

use crate::{
    Report, Secret, SetUpError, Step, Visit, check,
    exchange::{Ask, Http},
    observation::Observation,
    tls,
};

mod authorize;
mod callback;
mod mcp;
mod metadata;
mod registration;
mod sign_in;
mod token;

pub(crate) use mcp::MCP_HEADERS;

/// The metadata document of Claude Code, which clients without a registration are tried with.
pub const CLAUDE_CODE: &str = "https://claude.ai/oauth/claude-code-client-metadata";

/// The page that asks across origins: the inspector's. Servers that check origins let programs of the same machine in.
pub(crate) const ORIGIN: &str = "http://localhost:6274";

/// How to look.
#[derive(Debug, Clone)]
pub struct Options {
    /// The MCP endpoint, as a person would type it into a client.
    pub url: String,
    /// How long one request may take.
    pub timeout: Duration,
    /// Authorities to believe beside the usual ones, in PEM form.
    pub ca_file: Option<PathBuf>,
    /// The client id to try where metadata documents are let in.
    pub client_document: String,
}

impl Options {
    /// The usual way to look at an endpoint.
    pub fn new(url: impl Into<String>) -> Self {
        let client_document = CLAUDE_CODE.to_owned();
        Self { url: url.into(), timeout: Duration::from_secs(15), ca_file: None, client_document }
    }
}

/// The client as which the doctor asks.
#[derive(Debug, Clone)]
struct Identity {
    id: String,
    /// There only where the client authenticates with it.
    secret: Option<Secret>,
    redirect_uri: String,
    /// Where and with what the registration is deleted (RFC 7592).
    management: Option<(Url, Secret)>,
}

/// Looks at one deployment.
pub struct Doctor {
    http: Http,
    visit: Visit,
    /// Where the answer of a sign-in would come to.
    listener: TcpListener,
    port: u16,
    trace_id: String,
    verifier: CodeVerifier,
    client_document: String,
    client: Option<Identity>,
    /// What was received in confidence: never to be shown, even where a server repeats it in an error.
    secrets: Vec<Secret>,
    is_complete: bool,
}

impl std::fmt::Debug for Doctor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doctor").field("url", &self.visit.typed).finish_non_exhaustive()
    }
}

impl Doctor {
    /// Reads the options, and listens where the answer of a sign-in would come to. Nothing is asked yet.
    pub async fn new(options: Options) -> Result<Self, SetUpError> {
        let bad = || SetUpError::Url(options.url.clone());
        let typed = options.url.trim().to_owned();
        let mut url = Url::parse(&typed).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !url.username().is_empty() {
            return Err(bad());
        }
        url.set_fragment(None);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(SetUpError::Listen)?;
        let port = listener.local_addr().map_err(SetUpError::Listen)?.port();
        let trace_id = random()?;
        // A state that sloppy encoders break.
        let state = format!("{} +/=%&", random()?);
        let verifier = CodeVerifier::parse(&format!("{}{}-._~", random()?, random()?)).ok_or(SetUpError::Random)?;
        let http = Http::new(tls::config(options.ca_file.as_deref())?, options.timeout, trace_id.clone());
        let redirect_uri = format!("http://127.0.0.1:{port}/callback");
        let visit = Visit { typed, url, state, redirect_uri, observations: Vec::new(), callback: None };
        let client_document = options.client_document;
        Ok(Self {
            http,
            visit,
            listener,
            port,
            trace_id,
            verifier,
            client_document,
            client: None,
            secrets: Vec::new(),
            is_complete: false,
        })
    }

    /// Asks everything that needs no person.
    pub async fn look(&mut self) {
        self.ask_mcp().await;
        self.ask_metadata().await;
        // A server that wants no token, and says nothing of how to get one, is asked no further: what is at `/register` there
        // is something else.
        let wants_token = self.visit.answer(Step::McpInitialize).is_some_and(|(_, answer)| answer.status >= 300);
        if !wants_token && self.visit.server_metadata().is_none() {
            return;
        }
        self.register().await;
        self.ask_authorize().await;
        self.ask_token().await;
    }

    /// Deletes the registration where that is offered, and says what was found.
    pub async fn finish(mut self) -> Report {
        let left_behind = self.unregister().await;
        Report::new(
            &self.visit,
            check(&self.visit),
            &self.secrets,
            self.trace_id,
            self.http.sent(),
            self.is_complete,
            self.http.has_given_up(),
            left_behind,
        )
    }

    /// Sends a request, and keeps what came of it; nothing is sent any more once the doctor has given up.
    async fn ask(&mut self, step: Step, ask: Ask) -> Option<&Observation> {
        if self.http.has_given_up() {
            return None;
        }
        let (method, url): (Method, Url) = (ask.method.clone(), ask.url.clone());
        let (redirects, outcome) = self.http.send(ask).await;
        self.visit.observations.push(Observation { step, method, url, redirects, outcome });
        self.visit.observations.last()
    }

    /// Notes a secret of the server.
    fn keep(&mut self, secret: &str) -> Secret {
        let secret = Secret::new(secret);
        self.secrets.push(secret.clone());
        secret
    }
}

/// 128 random bits in hexadecimal.
fn random() -> Result<String, SetUpError> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| SetUpError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
