//! `GET /oauth/authorize/approve`: the person allows it: a code goes to the client (RFC 6749 §4.1.2).
//!
//! The flow is told in `decision`.

use axum::{extract::State, response::Response};
use grantd_proto::v1::ApproveAuthorizationRequest;
use http::{HeaderMap, Uri};

use crate::{
    app::{App, Shared},
    call::{self, Remote, request_id},
    decision::{Click, finish},
    errors::Failure,
};

/// The endpoint.
#[tracing::instrument(name = "facade.approve", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn get(State(app): State<Shared>, remote: Remote, uri: Uri, headers: HeaderMap) -> Response {
    let click = match Click::read(&app, &headers, &uri) {
        Ok(click) => click,
        Err(page) => return page,
    };
    let decided = decide(&app, &click, remote).await;
    finish(&app, "approve", &click, decided).await
}

async fn decide(
    app: &App,
    click: &Click,
    Remote(remote_address): Remote,
) -> Result<grantd_proto::v1::AuthorizationDecision, Failure> {
    let session_secret = click.session.clone().ok_or(Failure::LoginRequired)?;
    let message = ApproveAuthorizationRequest {
        request_id: request_id()?,
        ticket: click.ticket.clone(),
        session_secret,
        remote_address,
    };
    call::approve_authorization(app, message).await
}
