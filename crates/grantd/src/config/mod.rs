//! The configuration: one struct a section, each in a file of its own.
//!
//! 1. [`load()`] merges file, environment and flags, from weak to strong, and refuses keys that do not exist ([`keys`]).
//! 2. What the operator left open is completed from what was said ([`Config::complete`]).
//! 3. Every section checks itself; unsafe settings are refused with the reason ([`problems`]).
//! 4. [`build`] turns the result into what the other crates want.
//!
//! `config.default.toml` at the top of the repository documents every key; a test below keeps it true.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use grantd_oauth_types::PublicUrl;
use serde::{Deserialize, Serialize};

mod build;
mod client_metadata;
mod environment;
mod facade;
mod gate;
mod http;
mod keys;
mod load;
mod log;
mod operations;
mod problems;
mod resources;
mod rules;
pub(crate) mod secret_files;
mod shutdown;
mod sign_in;
mod store;
#[cfg(test)]
mod tests;
mod token_service;
mod tokens;
mod values;

pub(crate) use self::{
    environment::{OWNER_PASSWORD, SERVICE_KEY, Variables},
    load::{Flag, Input, load},
    problems::ConfigError,
    resources::{Resource, Scopes},
    store::StoreUrl,
    values::Secret,
};
use self::{keys::ANY, load::Sources, problems::Problems};
use crate::admin::socket;

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// What clients see: the issuer, and the origin of every endpoint.
    #[serde(with = "values::public_url")]
    pub(crate) public_url: PublicUrl,
    /// Where HTTP is served.
    #[serde(with = "values::address")]
    pub(crate) listen: SocketAddr,
    /// The embedded store, the owner's password and the admin socket live here.
    pub(crate) data_dir: PathBuf,
    /// The one MCP server to protect, where no `[[resource]]` is configured.
    pub(crate) upstream: Option<String>,
    /// The listener for clients and people.
    pub(crate) http: http::Http,
    /// Where state is kept.
    pub(crate) store: store::Store,
    /// How long things live.
    pub(crate) tokens: tokens::Tokens,
    /// People and their sessions.
    pub(crate) sign_in: sign_in::SignIn,
    /// Clients whose id is the URL of a metadata document.
    pub(crate) client_metadata: client_metadata::ClientMetadata,
    /// The OAuth endpoints.
    pub(crate) facade: facade::Facade,
    /// The bearer check and the proxy.
    pub(crate) gate: gate::Gate,
    /// The gRPC service, where it is a process of its own.
    pub(crate) token_service: token_service::TokenService,
    /// Probes and metrics, for whoever runs it.
    pub(crate) operations: operations::Operations,
    /// How the process stops.
    pub(crate) shutdown: shutdown::Shutdown,
    /// Logs.
    pub(crate) log: log::Log,
    /// What is protected.
    pub(crate) resource: Vec<Resource>,
    /// What may be granted.
    pub(crate) scopes: Scopes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: localhost(DEFAULT_PORT),
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DEFAULT_PORT),
            data_dir: PathBuf::from("./grantd-data"),
            upstream: None,
            http: Default::default(),
            store: Default::default(),
            tokens: Default::default(),
            sign_in: Default::default(),
            client_metadata: Default::default(),
            facade: Default::default(),
            gate: Default::default(),
            token_service: Default::default(),
            operations: Default::default(),
            shutdown: Default::default(),
            log: Default::default(),
            resource: Vec::new(),
            scopes: Scopes::default(),
        }
    }
}

const DEFAULT_PORT: u16 = 8080;

/// What the configuration is for: each needs other parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// All in one.
    Serve,
    /// All in one, with an MCP server built in.
    Demo,
    /// The gRPC half.
    TokenService,
    /// The HTTP half.
    Facade,
    /// A command that talks to a running process, or only reads the configuration.
    Tool,
}

impl Config {
    /// One of everything, so that every key shows when it is serialized.
    fn sample() -> Self {
        let resource = Resource { rule: vec![Default::default()], ..Resource::default() };
        let mut sample = Self { resource: vec![resource], ..Self::default() };
        sample.scopes.0.insert(ANY.to_owned(), Default::default());
        sample.token_service.caller.push(Default::default());
        sample
    }

    /// Fills in what was left open and follows from what was said.
    fn complete(&mut self, purpose: Purpose, sources: &Sources, problems: &mut Problems) {
        match (sources.has("public_url"), sources.has("listen")) {
            (false, true) if self.listen.ip().is_loopback() || self.listen.ip().is_unspecified() => {
                self.public_url = localhost(self.listen.port());
            }
            (true, false) if !self.public_url.is_https() => {
                if let Some(address) = loopback_address(&self.public_url) {
                    self.listen = address;
                }
            }
            _ => {}
        }
        self.tokens.complete(sources);
        resources::complete(self, purpose, problems);
    }

    /// Refuses what is wrong or unsafe, with the reason.
    fn check(&self, purpose: Purpose, problems: &mut Problems) {
        self.http.check(problems);
        self.store.check(problems);
        self.tokens.check(problems);
        self.sign_in.check(problems);
        self.client_metadata.check(&self.public_url, problems);
        self.facade.check(problems);
        self.gate.check(problems);
        self.token_service.check(purpose, problems);
        self.operations.check(self, purpose, problems);
        self.shutdown.check(problems);
        self.log.check(problems);
        resources::check(self, purpose, problems);
        // The facade alone has no admin socket.
        if purpose != Purpose::Facade
            && let Err(text) = socket::check_length(&self.admin_socket())
        {
            problems.add("data_dir", text);
        }
    }

    /// Where the admin socket is.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.data_dir.join("grantd.sock")
    }
}

fn localhost(port: u16) -> PublicUrl {
    let parsed = PublicUrl::parse(&format!("http://localhost:{port}"));
    // The text above is a valid public URL whatever the port.
    parsed.or_else(|_| PublicUrl::parse("http://localhost")).unwrap_or_else(|_| unreachable!("a constant that parses"))
}

/// The loopback address that an `http://` public URL names.
fn loopback_address(url: &PublicUrl) -> Option<SocketAddr> {
    let url = url::Url::parse(url.as_str()).ok()?;
    let ip = match url.host()? {
        url::Host::Ipv6(ip) => IpAddr::from(ip),
        url::Host::Ipv4(_) | url::Host::Domain(_) => Ipv4Addr::LOCALHOST.into(),
    };
    Some(SocketAddr::new(ip, url.port_or_known_default()?))
}
