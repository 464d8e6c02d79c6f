//! What approve and deny share: from the click to the client (RFC 6749 §4.1.2).
//!
//! 1. The click must be one: no prefetch, no other site, no frame or image (see `browser`).
//! 2. The ticket and the session go to the service, which decides. Repeating it is fine: the answer is the same.
//! 3. The answer goes to the client as a 302 (see `answer`).
//! 4. An expired ticket or a missing session gets a page that says what to do.
//!
//! These are links and not forms because `form-action` and clients' listeners stop what follows a POST.

use axum::response::Response;
use grantd_oauth_types::RedirectUri;
use grantd_proto::v1::{AuthorizationDecision, authorization_decision::Outcome};
use http::{HeaderMap, Uri};

use crate::{answer, app::App, browser, errors::Failure, form::Params, pages};

/// A click that may be asked about.
pub(crate) struct Click {
    pub(crate) ticket: String,
    pub(crate) session: Option<String>,
}

impl Click {
    /// Reads a click; the error is the page to answer.
    #[expect(clippy::result_large_err, reason = "the error is the response itself, made once and returned at once")]
    pub(crate) fn read(app: &App, headers: &HeaderMap, uri: &Uri) -> Result<Self, Response> {
        if !browser::is_deliberate(headers) {
            return Err(pages::not_a_click(app));
        }
        let ticket = Params::parse(uri.query().unwrap_or_default().as_bytes())
            .and_then(|params| params.text("ticket"))
            .and_then(|ticket| if ticket.is_empty() { Err(Failure::TicketExpired) } else { Ok(ticket) })
            .map_err(|failure| pages::failure(app, &failure))?;
        Ok(Self { ticket, session: app.cookie.read(headers) })
    }
}

/// Answers a click. `name` tells the decisions apart.
pub(crate) async fn finish(
    app: &App,
    name: &str,
    click: &Click,
    decided: Result<AuthorizationDecision, Failure>,
) -> Response {
    let decision = match decided {
        Ok(decision) => decision,
        Err(failure @ (Failure::LoginRequired | Failure::TicketExpired)) => {
            return match app.clicks.recall(name, &click.ticket) {
                Some(location) => answer::redirect(app, &location, None).await,
                None => pages::failure(app, &failure),
            };
        }
        Err(failure) => return pages::failure(app, &failure),
    };
    let Some((redirect_uri, outcome)) = RedirectUri::parse(&decision.redirect_uri).ok().zip(decision.outcome) else {
        tracing::error!("the service decided without a redirect URI or an outcome");
        return pages::failure(app, &Failure::Internal);
    };
    let param = match &outcome {
        Outcome::Code(code) => ("code", code.as_str()),
        Outcome::Error(error) => ("error", error.as_str()),
    };
    let location = answer::location(app, &redirect_uri, [param], decision.state.as_deref());
    if app.cookie.leaks_to_other_ports() {
        // Before the session ends, so that a second click finds it whenever it is refused.
        app.clicks.remember(name, &click.ticket, &location);
    }
    answer::redirect(app, &location, click.session.as_deref()).await
}
