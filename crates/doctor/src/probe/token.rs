//! The token endpoint, with grants that nobody has given; and revoking one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, header};
use url::{Url, form_urlencoded::byte_serialize};

use super::{Doctor, Identity, ORIGIN, authorize::UNKNOWN_CLIENT, mcp::preflight};
use crate::{Step, exchange::Ask};

/// A request of a client to an endpoint that wants to know who asks. With the secret in the header, percent-encoded
/// (RFC 6749 §2.3.1), which every server must understand; else with the id in the body.
pub(super) fn authenticated(endpoint: &Url, client: &Identity, params: &[(&str, &str)]) -> Ask {
    let mut params = params.to_vec();
    let mut ask = Ask::new(Method::POST, endpoint.clone());
    match &client.secret {
        Some(secret) => {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&client.id), encoded(secret.expose()));
            ask = ask.header(header::AUTHORIZATION, &format!("Basic {}", STANDARD.encode(pair)));
        }
        None => params.push(("client_id", &client.id)),
    }
    ask.form(&params).header(header::ACCEPT, "application/json")
}

impl Doctor {
    pub(super) async fn ask_token(&mut self) {
        let Some(endpoint) = self.visit.endpoint("token_endpoint") else { return };
        let made_up = format!("grantd-doctor-{}", self.trace_id);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", made_up.as_str())];
        if let Some(client) = self.client.clone().filter(|_| self.visit.registration().is_some()) {
            self.ask(Step::TokenUnknownRefresh, authenticated(&endpoint, &client, &refresh)).await;
            if client.secret.is_none() {
                let params = [&refresh[..], &[("client_secret", "")]].concat();
                self.ask(Step::TokenEmptySecret, authenticated(&endpoint, &client, &params)).await;
            }
            let from_browser = authenticated(&endpoint, &client, &refresh).header(header::ORIGIN, ORIGIN);
            self.ask(Step::TokenFromBrowser, from_browser).await;
            let verifier = String::from_utf8_lossy(self.verifier.expose()).into_owned();
            let code = [
                ("grant_type", "authorization_code"),
                ("code", made_up.as_str()),
                ("redirect_uri", client.redirect_uri.as_str()),
                ("code_verifier", verifier.as_str()),
            ];
            self.ask(Step::TokenUnknownCode, authenticated(&endpoint, &client, &code)).await;
            if let Some(revocation) = self.visit.endpoint("revocation_endpoint") {
                let params = [("token", made_up.as_str()), ("token_type_hint", "refresh_token")];
                self.ask(Step::RevokeUnknown, authenticated(&revocation, &client, &params)).await;
            }
        }
        let nobody =
            Identity { id: UNKNOWN_CLIENT.to_owned(), secret: None, redirect_uri: String::new(), management: None };
        self.ask(Step::TokenUnknownClient, authenticated(&endpoint, &nobody, &refresh)).await;
        self.ask(Step::TokenPreflight, preflight(endpoint, "POST", &["content-type", "authorization"])).await;
    }
}
