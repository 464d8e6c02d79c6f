//! With a person: the whole way, and its end.
//!
//! 1. The person opens the authorization request and agrees; the answer comes to the listener.
//! 2. The code is exchanged, and `initialize` sent with the token (and a GET, for events).
//! 3. A refresh as sparing clients send it; then the spent refresh token again within seconds, as sibling processes do. Where
//!    it is refused, the newest is tried: has the whole sign-in ended?
//! 4. The newest refresh token is revoked (RFC 7009), and tried.
//! 5. The code is tried a second time, last, because servers end everything then.

use std::time::Duration;

use http::{HeaderName, Method, header};
use serde_json::Value;
use url::Url;

use super::{Doctor, Identity, callback, mcp::initialize, token::authenticated};
use crate::{Answer, Secret, Step, exchange::Ask};

/// The tokens of an answer.
struct Tokens {
    access: Secret,
    refresh: Option<Secret>,
}

impl Doctor {
    /// Goes on with a person: `open` is given the address that they open. Waits for them as long as `patience`.
    ///
    /// Gives whether an answer came. Nothing is done, and `false` given, where [`Doctor::look`] has not got a client and an
    /// authorization endpoint.
    pub async fn sign_in(&mut self, open: impl FnOnce(&Url), patience: Duration) -> bool {
        let (Some(endpoint), Some(client)) = (self.visit.endpoint("authorization_endpoint"), self.client.clone())
        else {
            return false;
        };
        if self.http.has_given_up() || self.visit.find(Step::Authorize).is_none() {
            return false;
        }
        open(&self.authorization(&endpoint, &client, &[]));
        let Some(callback) = callback::wait(&self.listener, patience).await else { return false };
        let code = callback.code.clone();
        // A code that comes with another state is not an answer to what was asked.
        let is_ours = callback.state.as_ref() == Some(&self.visit.state);
        self.visit.callback = Some(callback);
        if let (Some(code), Some(token), true) = (code, self.visit.endpoint("token_endpoint"), is_ours) {
            self.secrets.push(code.clone());
            self.use_code(&token, &client, &code).await;
        }
        true
    }

    async fn use_code(&mut self, endpoint: &Url, client: &Identity, code: &Secret) {
        let verifier = String::from_utf8_lossy(self.verifier.expose()).into_owned();
        let resource = self.visit.resource();
        let params = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", client.redirect_uri.as_str()),
            ("code_verifier", verifier.as_str()),
            ("resource", resource.as_str()),
        ];
        let exchange = || authenticated(endpoint, client, &params);
        let Some(first) = self.tokens(Step::Exchange, exchange()).await else { return };
        self.is_complete = true;
        self.call(Step::McpCall, &first.access).await;
        let stream = Ask::new(Method::GET, self.visit.url.clone())
            .header(header::ACCEPT, "text/event-stream")
            .header(header::AUTHORIZATION, &format!("Bearer {}", first.access.expose()));
        self.ask(Step::McpStream, stream).await;
        if let Some(refresh) = first.refresh {
            self.use_refresh(endpoint, client, &refresh).await;
        }
        self.tokens(Step::CodeAgain, exchange()).await;
    }

    async fn use_refresh(&mut self, endpoint: &Url, client: &Identity, spent: &Secret) {
        let with = |token: &Secret| {
            authenticated(endpoint, client, &[("grant_type", "refresh_token"), ("refresh_token", token.expose())])
        };
        let Some(second) = self.tokens(Step::Refresh, with(spent)).await else { return };
        self.call(Step::McpCallAfterRefresh, &second.access).await;
        // Who does not rotate answers none (RFC 6749 §6).
        let mut newest = second.refresh.unwrap_or_else(|| spent.clone());
        if newest != *spent {
            match self.tokens(Step::RefreshAgain, with(spent)).await {
                Some(again) => newest = again.refresh.unwrap_or(newest),
                None => {
                    if let Some(third) = self.tokens(Step::RefreshNewest, with(&newest)).await {
                        newest = third.refresh.unwrap_or(newest);
                    }
                }
            }
        }
        if let Some(revocation) = self.visit.endpoint("revocation_endpoint") {
            let params = [("token", newest.expose()), ("token_type_hint", "refresh_token")];
            self.ask(Step::Revoke, authenticated(&revocation, client, &params)).await;
            self.tokens(Step::RefreshRevoked, with(&newest)).await;
        }
    }

    async fn call(&mut self, step: Step, token: &Secret) {
        let bearer = format!("Bearer {}", token.expose());
        let ask = initialize(self.visit.url.clone()).header(header::AUTHORIZATION, &bearer);
        let answer = self.ask(step, ask).await.and_then(|asked| asked.answer());
        // Nobody will come back to the session.
        let session = answer.map(|answer| answer.header("mcp-session-id").to_owned());
        if let Some(session) = session.filter(|session| !session.is_empty()) {
            let end = Ask::new(Method::DELETE, self.visit.url.clone()).header(header::AUTHORIZATION, &bearer);
            self.ask(Step::McpEnd, end.header(HeaderName::from_static("mcp-session-id"), &session)).await;
        }
    }

    async fn tokens(&mut self, step: Step, ask: Ask) -> Option<Tokens> {
        let body = self.ask(step, ask).await?.answer().filter(|answer| answer.status < 300).and_then(Answer::json)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        let refresh = refresh.map(|refresh| self.keep(refresh));
        access.map(|access| Tokens { access: self.keep(access), refresh })
    }
}
