//! The pages for people: templates, and the headers that keep them to themselves.
//!
//! Pages have no script, load nothing, and are one file with one inlined stylesheet, which the content security policy
//! names by its hash. Nobody may frame them (clickjacking a consent page is a grant), and no cache keeps them. The
//! referrer policy is `same-origin`, not `no-referrer`: under that one browsers send `Origin: null` with our own forms.
//!
//! Untrusted text is cleaned in `text` and escaped by the templates.

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantd_oauth_types::{OAuthError, OAuthErrorCode, RedirectUri};
use grantd_proto::v1::{Client, ConsentRequired};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    destination::Destination,
    errors::Failure,
    text::{LINE, NAME, clean},
};

/// The one stylesheet.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The headers of every page, made once.
pub(crate) struct PageHeaders(Vec<(HeaderName, HeaderValue)>);

impl PageHeaders {
    pub(crate) fn new() -> Self {
        let csp = format!(
            "default-src 'none'; style-src 'sha256-{}'; img-src data:; form-action 'self'; frame-ancestors 'none'; \
             base-uri 'none'",
            STANDARD.encode(Sha256::digest(STYLE))
        );
        let csp = HeaderValue::try_from(csp).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
        Self(vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, csp),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::VARY, HeaderValue::from_static("Accept, Cookie")),
            (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
            (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
        ])
    }

    fn add(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// What a client says it is.
struct Claim {
    name: String,
    /// The host that says so, where its id is the URL of a document there; else empty, and nobody does.
    host: String,
    /// Its id, for support; and to tell two clients of one name apart.
    id: String,
}

impl Claim {
    fn of(client: &Client) -> Self {
        let name = client.metadata.as_ref().map(|metadata| clean(&metadata.client_name, NAME)).unwrap_or_default();
        let host = client.client_id.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
        Self { name, host: clean(host.unwrap_or_default(), LINE), id: clean(&client.client_id, LINE) }
    }
}

/// A second try at the sign-in form.
pub(crate) struct Retry<'a> {
    /// What was typed.
    pub(crate) username: &'a str,
    /// Too many tries, rather than a wrong one.
    pub(crate) slow_down: bool,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    style: &'a str,
    site: &'a str,
    action: String,
    query: &'a str,
    claim: Claim,
    destination: Destination,
    retry: Option<Retry<'a>>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    style: &'a str,
    site: &'a str,
    approve: String,
    deny: String,
    sign_out: String,
    query: &'a str,
    claim: Claim,
    destination: Destination,
    username: String,
    resource: String,
    scopes: Vec<ScopeRow>,
    minutes: i64,
}

struct ScopeRow {
    name: String,
    description: String,
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    style: &'a str,
    site: &'a str,
    title: &'a str,
    paragraphs: Vec<String>,
    /// What to tell the makers of the client.
    detail: String,
    link: Option<Link>,
    button: Option<Button<'a>>,
}

struct Link {
    href: String,
    text: String,
}

struct Button<'a> {
    action: String,
    /// The authorization request to come back to; may be empty.
    query: &'a str,
    text: &'a str,
}

fn render(app: &App, status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let mut response = (status, html).into_response();
            app.page_headers.add(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            Failure::Internal.json()
        }
    }
}

fn site(app: &App) -> &str {
    app.config.public_url.as_str()
}

/// The sign-in form.
pub(crate) fn sign_in(
    app: &App,
    client: &Client,
    redirect_uri: &RedirectUri,
    query: &str,
    retry: Option<Retry<'_>>,
) -> Response {
    let page = SignInPage {
        style: STYLE,
        site: site(app),
        action: app.link("/oauth/sign-in"),
        query,
        claim: Claim::of(client),
        destination: Destination::of(redirect_uri),
        retry,
    };
    render(app, StatusCode::OK, &page)
}

/// The consent page.
pub(crate) fn consent(
    app: &App,
    consent: &ConsentRequired,
    client: &Client,
    redirect_uri: &RedirectUri,
    query: &str,
) -> Response {
    let ticket: String = url::form_urlencoded::byte_serialize(consent.ticket.as_bytes()).collect();
    let scopes = consent.scopes.iter().map(|scope| {
        let name = clean(&scope.name, LINE);
        let description = clean(&scope.description, LINE);
        ScopeRow { description: if description.is_empty() { name.clone() } else { description }, name }
    });
    let page = ConsentPage {
        style: STYLE,
        site: site(app),
        approve: app.link(&format!("/oauth/authorize/approve?ticket={ticket}")),
        deny: app.link(&format!("/oauth/authorize/deny?ticket={ticket}")),
        sign_out: app.link("/oauth/sign-out"),
        query,
        claim: Claim::of(client),
        destination: Destination::of(redirect_uri),
        username: clean(consent.user.as_ref().map(|user| user.username.as_str()).unwrap_or_default(), NAME),
        resource: clean(&consent.resource, LINE),
        scopes: scopes.collect(),
        minutes: (consent.expires_in / 60).max(1),
    };
    render(app, StatusCode::OK, &page)
}

/// A page that says one thing.
pub(crate) fn message(app: &App, status: StatusCode, title: &str, paragraphs: &[&str], detail: String) -> Response {
    let paragraphs = paragraphs.iter().map(|text| (*text).to_owned()).collect();
    let page = MessagePage { style: STYLE, site: site(app), title, paragraphs, detail, link: None, button: None };
    render(app, status, &page)
}

/// A failure for a person: what happened, and what to do.
pub(crate) fn failure(app: &App, failure: &Failure) -> Response {
    failure.trace();
    let (status, code, description) = failure.parts();
    let detail = format!("{code}: {description}");
    let mut response = match failure {
        // 400 whatever the code: 401 would make a browser ask for a password, and clients that look ahead read it.
        Failure::OAuth { error, .. } => {
            let (title, todo) = explain(error.code);
            message(app, StatusCode::BAD_REQUEST, title, &[todo], detail)
        }
        Failure::TooLarge => message(app, status, "That was too much", &["Go back and try again."], detail),
        Failure::LoginRequired => {
            let todo = "Your sign-in is over, or it was not you who was asked. Go back to the application and connect \
                        again: it will bring you here to sign in.";
            message(app, status, "Please start again", &[todo], String::new())
        }
        Failure::TicketExpired => {
            let todo = "You have answered this question already, or it is too old. If the application is still \
                        waiting, go back to it and connect again.";
            message(app, status, "This question is over", &[todo], String::new())
        }
        Failure::WrongCredentials | Failure::SlowDown => {
            message(app, status, "Not so fast", &["Wait a moment, then try again."], String::new())
        }
        Failure::Unavailable => {
            let todo = "Nothing is lost. Wait a few seconds, then reload this page.";
            message(app, status, "Not available right now", &[todo], String::new())
        }
        Failure::Internal => {
            let todo = "This is our fault, not yours. Try again; if it stays like this, tell whoever runs this server.";
            message(app, status, "Something went wrong", &[todo], String::new())
        }
    };
    failure.add_retry_after(response.headers_mut());
    response
}

/// A title, and what the person can do.
fn explain(code: OAuthErrorCode) -> (&'static str, &'static str) {
    match code {
        OAuthErrorCode::InvalidClient | OAuthErrorCode::UnauthorizedClient => (
            "This application is not known here",
            "Its registration is missing or has expired. In the application, remove this server and add it again: it \
             will register anew.",
        ),
        OAuthErrorCode::InvalidRedirectUri => (
            "The answer would go to an unknown address",
            "The application asked for an address that it did not register, so nothing was sent. In the application, \
             remove this server and add it again.",
        ),
        OAuthErrorCode::AccessDenied => (
            "You may not give this access",
            "Your account may not use what the application asks for. Ask whoever runs this server.",
        ),
        _ => (
            "This request cannot be served",
            "The application sent a request that is not right. Go back to it and connect again; if it stays like \
             this, tell its makers what stands below.",
        ),
    }
}

/// An authorization error that this host does not redirect by itself: the person may carry it there.
pub(crate) fn failure_with_link(app: &App, error: &OAuthError, redirect: &RedirectUri, location: &str) -> Response {
    let (title, todo) = explain(error.code);
    let destination = Destination::of(redirect);
    let page = MessagePage {
        style: STYLE,
        site: site(app),
        title,
        paragraphs: vec![todo.to_owned()],
        detail: format!("{}: {}", error.code, error.description),
        link: Some(Link { href: location.to_owned(), text: format!("Return to {}", destination.name) }),
        button: None,
    };
    render(app, StatusCode::BAD_REQUEST, &page)
}

/// Somebody is signed in who may not give what is asked for. Another account may; or the client is told.
pub(crate) fn wrong_account(app: &App, redirect: &RedirectUri, location: &str, query: &str) -> Response {
    let destination = Destination::of(redirect);
    let page = MessagePage {
        style: STYLE,
        site: site(app),
        title: "This account may not give this access",
        paragraphs: vec![
            "Sign in with another account, or ask whoever runs this server to add yours to a group.".to_owned(),
        ],
        detail: String::new(),
        link: Some(Link { href: location.to_owned(), text: format!("Return to {}", destination.name) }),
        button: Some(Button { action: app.link("/oauth/sign-out"), query, text: "Use another account" }),
    };
    render(app, StatusCode::FORBIDDEN, &page)
}

/// A form that another site posted.
pub(crate) fn foreign_form(app: &App) -> Response {
    let todo = format!("This form was not sent from {}. Open that address and try again.", site(app));
    message(app, StatusCode::FORBIDDEN, "This came from another site", &[&todo], String::new())
}

/// A decision link that nobody clicked.
pub(crate) fn not_a_click(app: &App) -> Response {
    let todo = "Access is given with a click on the page that asks for it, and only there. Go back to the application \
                and connect again.";
    message(app, StatusCode::FORBIDDEN, "Nothing was decided", &[todo], String::new())
}

/// The page with the sign-out button.
pub(crate) fn sign_out(app: &App) -> Response {
    let page = MessagePage {
        style: STYLE,
        site: site(app),
        title: "Sign out?",
        paragraphs: vec!["Applications that you gave access keep it.".to_owned()],
        detail: String::new(),
        link: None,
        button: Some(Button { action: app.link("/oauth/sign-out"), query: "", text: "Sign out" }),
    };
    render(app, StatusCode::OK, &page)
}

/// The session could not be ended where it is kept.
pub(crate) fn half_signed_out(app: &App) -> Response {
    let todo = "This browser has forgotten you. The server could not be told, so your session there ends by itself, some \
                hours after it began. If somebody may have copied it, change your password.";
    let mut response = message(app, StatusCode::SERVICE_UNAVAILABLE, "Only half signed out", &[todo], String::new());
    Failure::Unavailable.add_retry_after(response.headers_mut());
    response
}

/// After signing out.
pub(crate) fn signed_out(app: &App) -> Response {
    let todo = "You may close this page. Applications that you gave access keep it.";
    message(app, StatusCode::OK, "You are signed out", &[todo], String::new())
}
