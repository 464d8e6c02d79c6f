//! The authorization endpoint. GET changes nothing there before a person has agreed, so it may be asked often.

use http::{Method, header};
use serde_json::Value;
use url::Url;

use super::{Doctor, Identity};
use crate::{Step, challenge::Challenge, exchange::Ask};

/// A client id that nobody has given out.
pub(super) const UNKNOWN_CLIENT: &str = "grantd-doctor-unknown-client";
/// A redirect URI that nobody registers: `.invalid` never resolves (RFC 6761 §6.4).
const UNREGISTERED: &str = "https://grantd-doctor.invalid/callback";

impl Doctor {
    /// What a client asks for: the challenge's scopes, else those of the metadata.
    pub(super) fn scope(&self) -> Option<String> {
        let challenge = self
            .visit
            .answer(Step::McpInitialize)
            .map(|(_, answer)| Challenge::read(answer.header(header::WWW_AUTHENTICATE)));
        let challenged = challenge.and_then(|challenge| challenge.get("scope").map(str::to_owned));
        let listed = || {
            let (_, metadata) = self.visit.resource_metadata()?;
            let scopes = metadata.get("scopes_supported")?.as_array()?;
            Some(scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        };
        challenged.filter(|scope| !scope.is_empty()).or_else(listed).filter(|scope| !scope.is_empty())
    }

    /// A good request, with some parameters changed; `None` leaves one out.
    pub(super) fn authorization(&self, endpoint: &Url, client: &Identity, change: &[(&str, Option<&str>)]) -> Url {
        let mut params: Vec<(&str, String)> = vec![
            ("response_type", "code".to_owned()),
            ("client_id", client.id.clone()),
            ("redirect_uri", client.redirect_uri.clone()),
            ("code_challenge", self.verifier.challenge().to_string()),
            ("code_challenge_method", "S256".to_owned()),
            ("state", self.visit.state.clone()),
            ("resource", self.visit.resource()),
        ];
        params.extend(self.scope().map(|scope| ("scope", scope)));
        for (name, value) in change {
            params.retain(|(known, _)| known != name);
            params.extend(value.map(|value| (*name, value.to_owned())));
        }
        let mut url = endpoint.clone();
        url.query_pairs_mut().extend_pairs(params);
        url
    }

    pub(super) async fn ask_authorize(&mut self) {
        let (Some(endpoint), Some(client)) = (self.visit.endpoint("authorization_endpoint"), self.client.clone())
        else {
            return;
        };
        let is_registered = self.visit.registration().is_some();
        let resource = self.visit.resource();
        let other_port = if self.port == u16::MAX { self.port - 1 } else { self.port + 1 };
        let other_port = format!("http://127.0.0.1:{other_port}/callback");
        let slash = format!("{resource}/");
        let is_bare = Url::parse(&resource).is_ok_and(|url| url.path() == "/" && !resource.ends_with('/'));
        let document = self.documented();
        let mut steps = vec![(Step::Authorize, vec![])];
        if is_registered {
            steps.extend([
                (Step::AuthorizeOtherPort, vec![("redirect_uri", Some(other_port.as_str()))]),
                (Step::AuthorizeUnknownScope, vec![("scope", Some(" offline_access claudeai"))]),
                (Step::AuthorizeBare, vec![("scope", None), ("state", None)]),
                (Step::AuthorizeError, vec![("response_type", Some("token"))]),
                (Step::AuthorizeUnknownRedirectUri, vec![("redirect_uri", Some(UNREGISTERED))]),
            ]);
            if is_bare {
                steps.push((Step::AuthorizeSlashResource, vec![("resource", Some(slash.as_str()))]));
            }
        }
        steps.push((
            Step::AuthorizeUnknownClient,
            vec![("client_id", Some(UNKNOWN_CLIENT)), ("redirect_uri", Some(UNREGISTERED))],
        ));
        for (step, change) in steps {
            let url = self.authorization(&endpoint, &client, &change);
            // FastMCP and mcp-remote look whether they are known by asking as a program.
            let accept = match step {
                Step::AuthorizeUnknownClient => "application/json",
                _ => "text/html,application/xhtml+xml,*/*;q=0.8",
            };
            self.ask(step, Ask::new(Method::GET, url).header(header::ACCEPT, accept)).await;
        }
        if let Some(document) = document {
            let url = self.authorization(&endpoint, &document, &[]);
            let ask = Ask::new(Method::GET, url).header(header::ACCEPT, "text/html,*/*;q=0.8");
            self.ask(Step::AuthorizeDocument, ask).await;
        }
    }
}
