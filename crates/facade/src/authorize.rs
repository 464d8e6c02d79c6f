//! `GET /oauth/authorize`: the authorization endpoint (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9207).
//!
//! 1. The query is read strictly; a request that cannot be read gets a 400 page.
//! 2. BeginAuthorization checks it. With a session it also stores it for the person's consent.
//! 3. Nobody signed in: the sign-in form, which carries the query along and comes back here. Nothing was written.
//! 4. Somebody signed in: the consent page, with the ticket in its links.
//! 5. Refused: see `answer`.
//!
//! HEAD asks without the session, so it writes nothing at all. Which requests are good is the service's decision.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use grantd_oauth_types::{OAuthError, OAuthErrorCode, RedirectUri};
use grantd_proto::v1::{BeginAuthorizationRequest, Client, ConsentRequired, begin_authorization_response::Next};
use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    answer,
    app::{App, Shared},
    call::{self, Remote, request_id},
    errors::Failure,
    form::{Params, decode},
    pages,
};

/// The longest query that a sign-in form carries along, in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// What must not stand raw in a query that we send on.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\');

/// An authorization request as it came.
pub(crate) struct Asked {
    pub(crate) request: BeginAuthorizationRequest,
    /// The query that leads back to it. Without `prompt`: it has been obeyed when the person comes back.
    pub(crate) query: String,
    /// A parameter that has two values (RFC 6749 §3.1), which the client is told where it may be told.
    twice: Option<&'static str>,
}

impl Asked {
    /// Reads a raw query. Who asks, and where the answer goes, must be plain; all else is for the client to hear.
    pub(crate) fn parse(query: &str) -> Result<Self, Failure> {
        if query.len() > MAX_QUERY {
            return Err(Failure::invalid_request("the request is too long"));
        }
        let params = Params::parse(query.as_bytes())?;
        let mut twice = None;
        let mut one = |name: &'static str| {
            let value = params.one(name);
            if value.is_err() {
                twice = Some(name);
            }
            value.ok().flatten().map(str::to_owned)
        };
        let mut request = BeginAuthorizationRequest {
            request_id: request_id()?,
            client_id: params.text("client_id")?,
            redirect_uri: params.text("redirect_uri")?,
            response_type: one("response_type").unwrap_or_default(),
            scope: one("scope").unwrap_or_default(),
            state: one("state"),
            code_challenge: one("code_challenge").unwrap_or_default(),
            code_challenge_method: one("code_challenge_method").unwrap_or_default(),
            resource: params.all("resource"),
            session_secret: String::new(),
            prompt: one("prompt").unwrap_or_default(),
            remote_address: String::new(),
        };
        if twice.is_some() {
            // No authorization comes of it, whatever else is right. The service still says whether the client may be told.
            request.code_challenge.clear();
        }
        let is_prompt = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            decode(name.as_bytes(), true).as_deref() == Some("prompt")
        };
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_prompt(pair)).collect();
        let query = utf8_percent_encode(&kept.join("&"), NOT_IN_QUERY).to_string();
        Ok(Self { request, query, twice })
    }

    /// The client's `state`.
    pub(crate) fn state(&self) -> Option<&str> {
        self.request.state.as_deref()
    }
}

/// What to show.
pub(crate) enum Step {
    /// The sign-in form, and who asks.
    SignIn { client: Client, redirect_uri: RedirectUri },
    /// The consent page.
    Consent { consent: Box<ConsentRequired>, client: Client, redirect_uri: RedirectUri },
}

/// Asks the service what comes next. Without a session it writes nothing.
pub(crate) async fn begin(app: &App, asked: &Asked, session: Option<&str>) -> Result<Step, Failure> {
    let mut message = asked.request.clone();
    message.session_secret = session.unwrap_or_default().to_owned();
    let answer = call::begin_authorization(app, message).await;
    if let Some(name) = asked.twice {
        return Err(refuse_twice(name, answer.err()));
    }
    let step = match answer?.next {
        Some(Next::SignIn(mut sign_in)) => sign_in
            .client
            .take()
            .zip(RedirectUri::parse(&sign_in.redirect_uri).ok())
            .map(|(client, redirect_uri)| Step::SignIn { client, redirect_uri }),
        Some(Next::Consent(mut consent)) => consent
            .client
            .take()
            .zip(RedirectUri::parse(&consent.redirect_uri).ok())
            .map(|(client, redirect_uri)| Step::Consent { consent: Box::new(consent), client, redirect_uri }),
        None => None,
    };
    step.ok_or_else(|| {
        tracing::error!("BeginAuthorization answered without a client, a redirect URI or a next step");
        Failure::Internal
    })
}

/// What a request with a parameter that has two values comes to: what it came to without it, with that for the reason.
fn refuse_twice(name: &str, failure: Option<Failure>) -> Failure {
    let description = format!("the parameter {name} has two values");
    match failure {
        Some(Failure::OAuth { redirect_uri: Some(uri), .. }) => Failure::OAuth {
            error: OAuthError::new(OAuthErrorCode::InvalidRequest, description),
            redirect_uri: Some(uri),
        },
        Some(failure) => failure,
        None => Failure::invalid_request(description),
    }
}

/// The endpoint.
#[tracing::instrument(name = "facade.authorize", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn get(
    State(app): State<Shared>,
    Remote(remote_address): Remote,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let mut asked = match Asked::parse(uri.query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(failure) => return answer::refuse(&app, &headers, &failure, None, None).await,
    };
    asked.request.remote_address = remote_address;
    let session = if method == Method::HEAD { None } else { app.cookie.read(&headers) };
    match begin(&app, &asked, session.as_deref()).await {
        Ok(Step::SignIn { client, redirect_uri }) => {
            pages::sign_in(&app, &client, &redirect_uri, &asked.query, None).into_response()
        }
        Ok(Step::Consent { consent, client, redirect_uri }) => {
            pages::consent(&app, &consent, &client, &redirect_uri, &asked.query)
        }
        Err(failure) => answer::refuse(&app, &headers, &failure, Some(&asked), session.as_deref()).await,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_query_leads_back() {
        for (query, back) in [
            ("client_id=a&state=x%2B%20y", "client_id=a&state=x%2B%20y"),
            ("a=1&prompt=login&b=2", "a=1&b=2"),
            ("%70rompt=login&a=1", "a=1"),
            ("a=é\"<>", "a=%C3%A9%22%3C%3E"),
            ("", ""),
        ] {
            assert_eq!(Asked::parse(query).unwrap().query, back);
        }
        assert!(Asked::parse(&"a".repeat(MAX_QUERY + 1)).is_err());
        for bad in ["client_id=a&client_id=b", "state=%", "nonce=%ff", "a=%00"] {
            assert!(Asked::parse(bad).is_err(), "{bad}");
        }
        assert!(Asked::parse("client_id=a&client_id=a&unknown=1&unknown=2").is_ok());
        assert_eq!(Asked::parse("resource=a&resource=a&resource=b").unwrap().request.resource, ["a", "b"]);
        assert_eq!(Asked::parse("state=").unwrap().state(), Some(""));
        assert_eq!(Asked::parse("a=1").unwrap().state(), None);
    }

    proptest! {
        #[test]
        fn what_leads_back_is_read_as_before(query in "[ -~]{0,60}") {
            let Ok(asked) = Asked::parse(&query) else { return Ok(()) };
            prop_assert!(asked.query.bytes().all(|b| b.is_ascii_graphic() && b != b'#'));
            let again = Asked::parse(&asked.query).ok().unwrap();
            prop_assert_eq!(&again.request.state, &asked.request.state);
            prop_assert_eq!(again.query, asked.query);
        }
    }
}
