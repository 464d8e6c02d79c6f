//! All that was observed at one deployment, and what follows from it by itself: which documents there are, what they say.

use serde_json::Value;
use url::Url;

use crate::{Answer, Observation, Secret, Step};

/// The places where resource metadata is looked for, in the order of the clients.
pub(crate) const RESOURCE_STEPS: [Step; 3] = [Step::ResourceAtHeader, Step::ResourceAtPath, Step::ResourceAtRoot];
/// The places where metadata of the authorization server is looked for, in the order of the clients.
pub(crate) const SERVER_STEPS: [Step; 3] = [Step::ServerOauth, Step::ServerOpenid, Step::ServerOpenidAppended];

/// How the answer of a sign-in came to the client.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The method of the request; it must be GET.
    pub method: String,
    /// The code.
    pub code: Option<Secret>,
    /// `state` as it came.
    pub state: Option<String>,
    /// `iss` as it came.
    pub iss: Option<String>,
    /// `error`.
    pub error: Option<String>,
    /// Whether a space came as `+`.
    pub has_plus: bool,
}

/// What was observed at one deployment.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The MCP endpoint, as it was typed.
    pub typed: String,
    /// The same, read.
    pub url: Url,
    /// The state that every authorization request had.
    pub state: String,
    /// The redirect URI that the client of the doctor has.
    pub redirect_uri: String,
    /// Every exchange, in order.
    pub observations: Vec<Observation>,
    /// What came of the sign-in, if there was one.
    pub callback: Option<Callback>,
}

impl Visit {
    /// The exchange of a step, if it was made.
    pub fn find(&self, step: Step) -> Option<&Observation> {
        self.observations.iter().find(|observation| observation.step == step)
    }

    /// The answer of a step, if there is one.
    pub fn answer(&self, step: Step) -> Option<(&Observation, &Answer)> {
        let observation = self.find(step)?;
        Some((observation, observation.answer()?))
    }

    /// The first of some documents that was served, and as JSON that can be read.
    fn document(&self, steps: &[Step]) -> Option<(&Observation, Value)> {
        steps.iter().find_map(|step| {
            let (observation, answer) = self.answer(*step)?;
            Some((observation, answer.object().filter(|_| answer.status == 200)?))
        })
    }

    /// The resource metadata (RFC 9728), and where it was found.
    pub fn resource_metadata(&self) -> Option<(&Observation, Value)> {
        self.document(&RESOURCE_STEPS)
    }

    /// The metadata of the authorization server (RFC 8414), and where it was found.
    pub fn server_metadata(&self) -> Option<(&Observation, Value)> {
        self.document(&SERVER_STEPS)
    }

    /// Who the resource says is its authorization server; else the host of the resource is taken for it, as clients do.
    pub fn issuer(&self) -> String {
        let named = self
            .resource_metadata()
            .and_then(|(_, metadata)| Some(metadata.get("authorization_servers")?.get(0)?.as_str()?.to_owned()));
        named.unwrap_or_else(|| self.url.origin().ascii_serialization())
    }

    /// The resource identifier that clients send.
    pub fn resource(&self) -> String {
        let named =
            self.resource_metadata().and_then(|(_, metadata)| Some(metadata.get("resource")?.as_str()?.to_owned()));
        named.unwrap_or_else(|| self.typed.clone())
    }

    /// An endpoint, by the name of its member: as advertised, or at the host of the resource, where clients try when there
    /// is no metadata.
    pub fn endpoint(&self, member: &str) -> Option<Url> {
        match self.server_metadata() {
            Some((_, metadata)) => Url::parse(metadata.get(member)?.as_str()?).ok().filter(is_web),
            None if self.finds_nothing() => {
                let path = match member {
                    "authorization_endpoint" => "/authorize",
                    "token_endpoint" => "/token",
                    "registration_endpoint" => "/register",
                    _ => return None,
                };
                self.url.join(path).ok()
            }
            None => None,
        }
    }

    /// Whether every place of server metadata says that nothing is there; only then clients go on without.
    fn finds_nothing(&self) -> bool {
        let mut answers = SERVER_STEPS.iter().filter_map(|step| self.find(*step)).peekable();
        answers.peek().is_some()
            && answers.all(|asked| {
                asked.answer().is_some_and(|answer| (400..500).contains(&answer.status) && !is_busy(answer))
            })
    }

    /// Whether clients may have a metadata document for their id.
    pub fn takes_documents(&self) -> bool {
        self.server_metadata().is_some_and(|(_, metadata)| {
            metadata.get("client_id_metadata_document_supported") == Some(&Value::Bool(true))
        })
    }

    /// The registration that succeeded, if one did.
    pub fn registration(&self) -> Option<(&Observation, &Answer, Value)> {
        [Step::Register, Step::RegisterPlain, Step::RegisterSecret].into_iter().find_map(|step| {
            let (observation, answer) = self.answer(step)?;
            let body = answer.object().filter(|_| (200..300).contains(&answer.status))?;
            Some((observation, answer, body))
        })
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether an answer says that the server is in trouble, or that too much was asked (408, 429).
pub(crate) fn is_busy(answer: &Answer) -> bool {
    matches!(answer.status, 408 | 429 | 500..)
}
