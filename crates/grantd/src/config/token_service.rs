//! `[token_service]`: the gRPC service, where it is a process of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use grantd_proto::Role;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use super::{
    Purpose,
    load::Sources,
    problems::Problems,
    values::{self, Secret, Texts},
};
use crate::rpc::tls::Files;

/// Both ends of the connection between facade and token service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenService {
    /// `grantd token-service`: where gRPC is served.
    #[serde(with = "values::address")]
    pub(crate) listen: SocketAddr,
    /// `grantd facade`: where the token service is, or each of several.
    pub(crate) url: Texts,
    /// `grantd facade`: the key it shows.
    pub(crate) key: Option<Secret>,
    /// A file that holds `key`.
    pub(crate) key_file: Option<PathBuf>,
    /// TLS between the two.
    pub(crate) tls: Tls,
    /// Lets keys and tokens cross a network in the clear.
    pub(crate) insecure_plaintext: bool,
    /// `grantd token-service`: who may call.
    pub(crate) caller: Vec<Caller>,
}

/// A service key and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Caller {
    /// For the log.
    pub(crate) name: String,
    /// What it may call.
    pub(crate) role: CallerRole,
    /// The key; or
    pub(crate) key: Secret,
    /// A file that holds `key`; or
    pub(crate) key_file: Option<PathBuf>,
    /// a DNS name in its certificate.
    pub(crate) certificate: Option<String>,
}

/// PEM files for TLS, of either end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tls {
    /// The certificate that this end shows, and what leads to its issuer.
    pub(crate) cert_file: Option<PathBuf>,
    /// The key of that certificate.
    pub(crate) key_file: Option<PathBuf>,
    /// Whose certificates this end accepts.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Tls {
    /// What to read.
    pub(crate) fn files(&self) -> Files {
        Files { certificate: self.cert_file.clone(), key: self.key_file.clone(), roots: self.ca_file.clone() }
    }

    fn check(&self, problems: &mut Problems) {
        for (one, other, key) in [
            (&self.cert_file, &self.key_file, "token_service.tls.cert_file"),
            (&self.key_file, &self.cert_file, "token_service.tls.key_file"),
        ] {
            problems.require(
                one.is_none() || other.is_some(),
                key,
                "cert_file and key_file go together: set both or none",
            );
        }
    }
}

/// [`Role`], as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CallerRole {
    /// The least, where nothing is said.
    #[default]
    Verify,
    Flow,
    Admin,
}

impl Default for TokenService {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8081),
            url: Texts(vec!["http://127.0.0.1:8081".to_owned()]),
            key: None,
            key_file: None,
            tls: Tls::default(),
            insecure_plaintext: false,
            caller: Vec::new(),
        }
    }
}

/// A key this short can be guessed.
const KEY_LENGTH: usize = 32;

/// How to make one.
const MAKE_A_KEY: &str = "make one with: head -c 32 /dev/urandom | base64";

impl TokenService {
    /// Takes the key from `GRANTD_SERVICE_KEY` where the configuration names none.
    pub(super) fn adopt(&mut self, key: Secret, variable: &str, purpose: Purpose, sources: &mut Sources) {
        match purpose {
            Purpose::Facade if self.key.is_none() => {
                self.key = Some(key);
                sources.set_by_service_key("token_service.key".to_owned(), variable);
            }
            Purpose::TokenService => {
                sources.set_by_service_key(format!("token_service.caller[{}]", self.caller.len()), variable);
                self.caller.push(Caller {
                    name: "service-key".to_owned(),
                    role: CallerRole::Flow,
                    key,
                    ..Caller::default()
                });
            }
            Purpose::Facade | Purpose::Serve | Purpose::Demo | Purpose::Tool => {}
        }
    }

    /// Whether gRPC is served with TLS.
    pub(crate) fn serves_tls(&self) -> bool {
        self.tls.cert_file.is_some()
    }

    pub(super) fn check(&self, purpose: Purpose, problems: &mut Problems) {
        self.tls.check(problems);
        let short = |key: &Secret| key.expose().len() < KEY_LENGTH;
        for (at, caller) in self.caller.iter().enumerate() {
            let path = format!("token_service.caller[{at}]");
            problems.require(!caller.name.is_empty(), format!("{path}.name"), "give the caller a name, for the log");
            let no_key = caller.key.expose().is_empty();
            problems.require(
                !short(&caller.key) || (no_key && caller.certificate.is_some()),
                format!("{path}.key"),
                format!("a service key has at least {KEY_LENGTH} characters; {MAKE_A_KEY}"),
            );
            if let Some(name) = &caller.certificate {
                problems.require(
                    ServerName::try_from(name.as_str()).is_ok(),
                    format!("{path}.certificate"),
                    "write a DNS name (or an address) that stands in the caller's certificate",
                );
                problems.require(
                    self.tls.ca_file.is_some() && self.serves_tls(),
                    format!("{path}.certificate"),
                    "certificates are looked at only with token_service.tls: set cert_file, key_file, and ca_file to the issuer of the callers' certificates",
                );
            }
            let again = !no_key && self.caller.iter().take(at).any(|other| other.key == caller.key);
            problems.require(!again, format!("{path}.key"), "two callers have the same key; a key has one role");
        }
        match purpose {
            Purpose::TokenService => {
                problems.require(
                    !self.caller.is_empty(),
                    "token_service.caller",
                    format!("nobody could call: set GRANTD_SERVICE_KEY, or add a [[token_service.caller]] with name, role and key; {MAKE_A_KEY}"),
                );
                problems.require(
                    self.listen.ip().is_loopback() || self.serves_tls() || self.insecure_plaintext,
                    "token_service.listen",
                    "gRPC is served without TLS, so keys and tokens would cross the network in the clear: set token_service.tls, listen on 127.0.0.1, or set token_service.insecure_plaintext = true where the network itself is encrypted",
                );
            }
            Purpose::Facade => self.check_client(problems),
            Purpose::Serve | Purpose::Demo | Purpose::Tool => {}
        }
    }

    fn check_client(&self, problems: &mut Problems) {
        let is_tls = self.url.0.iter().all(|url| url.starts_with("https://"));
        match &self.key {
            None if is_tls && self.tls.cert_file.is_some() => {}
            None => problems.add(
                "token_service.key",
                "set GRANTD_SERVICE_KEY to the key that the token service knows, or token_service.tls to a certificate that it knows",
            ),
            Some(key) => problems.require(
                key.expose().len() >= KEY_LENGTH && key.expose().bytes().all(|byte| byte.is_ascii_graphic()),
                "token_service.key",
                format!("a service key has at least {KEY_LENGTH} printable ASCII characters; {MAKE_A_KEY}"),
            ),
        }
        problems.require(
            !self.url.0.is_empty(),
            "token_service.url",
            "name at least one token service, such as http://127.0.0.1:8081",
        );
        problems.require(
            is_tls || self.url.0.iter().all(|url| !url.starts_with("https://")),
            "token_service.url",
            "all of them are https://, or none: the same keys and tokens go to each",
        );
        self.url.0.iter().for_each(|url| self.check_url(url, problems));
    }

    fn check_url(&self, url: &str, problems: &mut Problems) {
        let url = match url::Url::parse(url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => url,
            _ => return problems.add("token_service.url", "write a URL such as http://127.0.0.1:8081"),
        };
        problems.require(
            url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none(),
            "token_service.url",
            "write scheme, host and port only, such as http://127.0.0.1:8081: gRPC has paths of its own",
        );
        let loopback = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        problems.require(
            url.scheme() == "https" || loopback || self.insecure_plaintext,
            "token_service.url",
            "over http:// the key and every token would cross the network in the clear: use https://, or set token_service.insecure_plaintext = true where the network itself is encrypted",
        );
    }
}

impl From<CallerRole> for Role {
    fn from(role: CallerRole) -> Self {
        match role {
            CallerRole::Verify => Self::Verify,
            CallerRole::Flow => Self::Flow,
            CallerRole::Admin => Self::Admin,
        }
    }
}
