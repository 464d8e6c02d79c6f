//! One registration (RFC 7591), and its end (RFC 7592).
//!
//! 1. A client as apps are: without a secret, with several redirect URIs. That is what most clients send.
//! 2. Where it is refused, with a loopback redirect URI alone; where that is refused too, with a secret. Only one of them can
//!    succeed, so nothing is registered twice.

use http::{Method, header};
use serde_json::{Value, json};
use url::Url;

use super::{Doctor, Identity, mcp::preflight};
use crate::{Step, exchange::Ask};

/// What an app beside a browser registers.
const APP: &str = "cursor://anysphere.cursor-mcp/oauth/callback";

impl Doctor {
    pub(super) async fn register(&mut self) {
        if let Some(endpoint) = self.visit.endpoint("registration_endpoint") {
            let own = self.visit.redirect_uri.clone();
            let localhost = format!("http://localhost:{}/callback", self.port);
            for (step, redirect_uris, method) in [
                (Step::Register, json!([own, localhost, APP]), "none"),
                (Step::RegisterPlain, json!([own]), "none"),
                (Step::RegisterSecret, json!([own]), "client_secret_post"),
            ] {
                let ask = self.registration(&endpoint, &redirect_uris, method);
                let answered = self.ask(step, ask).await.and_then(|asked| asked.answer());
                // Only a refusal of what was sent is a reason to send something else.
                if !answered.is_some_and(|answer| matches!(answer.status, 400 | 422)) {
                    break;
                }
            }
            let is_there =
                self.visit.answer(Step::Register).is_some_and(|(_, answer)| !matches!(answer.status, 404 | 405));
            if is_there {
                self.ask(Step::RegisterPreflight, preflight(endpoint, "POST", &["content-type"])).await;
            }
        }
        self.client = self.registered().or_else(|| self.documented());
    }

    fn registration(&self, endpoint: &Url, redirect_uris: &Value, method: &str) -> Ask {
        let mut metadata = json!({
            "client_name": "grantd doctor",
            "redirect_uris": redirect_uris,
            "token_endpoint_auth_method": method,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "native",
            "software_id": "grantd-doctor",
            "software_version": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(scope), Some(members)) = (self.scope(), metadata.as_object_mut()) {
            members.insert("scope".to_owned(), scope.into());
        }
        Ask::new(Method::POST, endpoint.clone()).json(&metadata).header(header::ACCEPT, "application/json")
    }

    /// The client that was registered. It uses its secret as the answer says, like clients do.
    fn registered(&mut self) -> Option<Identity> {
        let (observation, _, body) = self.visit.registration()?;
        let endpoint = observation.url.clone();
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = text("client_id").filter(|id| !id.is_empty())?;
        let is_public = text("token_endpoint_auth_method").is_none_or(|method| method == "none");
        let secret = text("client_secret").map(|secret| self.keep(&secret)).filter(|_| !is_public);
        // The token goes to nobody but who gave it.
        let uri = text("registration_client_uri").and_then(|uri| Url::parse(&uri).ok());
        let uri = uri.filter(|uri| uri.origin() == endpoint.origin());
        let token = text("registration_access_token").map(|token| self.keep(&token));
        Some(Identity { id, secret, redirect_uri: self.visit.redirect_uri.clone(), management: uri.zip(token) })
    }

    /// The client of the metadata document. Claude Code's has a redirect URI on `localhost`, without a port.
    pub(super) fn documented(&self) -> Option<Identity> {
        self.visit.takes_documents().then(|| Identity {
            id: self.client_document.clone(),
            secret: None,
            redirect_uri: format!("http://localhost:{}/callback", self.port),
            management: None,
        })
    }

    /// Deletes the registration; gives the client id that stays behind where that cannot be.
    pub(super) async fn unregister(&mut self) -> Option<String> {
        // What was accepted without a client_id can be named by nobody.
        self.visit.registration()?;
        let client = self.client.clone()?;
        let Some((uri, token)) = client.management else { return Some(client.id) };
        let ask = Ask::new(Method::DELETE, uri).header(header::AUTHORIZATION, &format!("Bearer {}", token.expose()));
        let deleted = self.ask(Step::Unregister, ask).await.and_then(|asked| asked.answer());
        let is_gone = deleted.is_some_and(|answer| (200..300).contains(&answer.status));
        (!is_gone).then_some(client.id)
    }
}
