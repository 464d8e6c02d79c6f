//! Errors on their way out: one exhaustive map from each kind to a gRPC status.
//!
//! What goes out is safe to show; the cause is logged here, once.

use std::collections::HashMap;

use grantd_core::{approve::Refusal, authorize::Fault};
use grantd_oauth_types::{OAuthError, OAuthErrorCode};
use grantd_proto::error;
use grantd_store::StoreError;
use tonic::{Code, Status};

fn code(of: OAuthErrorCode) -> Code {
    match of {
        OAuthErrorCode::InvalidRequest
        | OAuthErrorCode::InvalidGrant
        | OAuthErrorCode::UnsupportedGrantType
        | OAuthErrorCode::UnsupportedResponseType
        | OAuthErrorCode::InvalidScope
        | OAuthErrorCode::InvalidTarget
        | OAuthErrorCode::InvalidRedirectUri
        | OAuthErrorCode::InvalidClientMetadata => Code::InvalidArgument,
        OAuthErrorCode::InvalidClient | OAuthErrorCode::InvalidToken => Code::Unauthenticated,
        OAuthErrorCode::UnauthorizedClient | OAuthErrorCode::AccessDenied | OAuthErrorCode::InsufficientScope => {
            Code::PermissionDenied
        }
        OAuthErrorCode::ServerError => Code::Internal,
        OAuthErrorCode::TemporarilyUnavailable => Code::Unavailable,
    }
}

/// An OAuth error.
pub(crate) fn oauth(error: &OAuthError) -> Status {
    error::status(code(error.code), error.code.as_str(), error.description.as_str())
}

/// A bad parameter.
pub(crate) fn invalid_request(description: &str) -> Status {
    oauth(&OAuthError::new(OAuthErrorCode::InvalidRequest, description))
}

/// A request id that came before, with something else: its answer belongs to that.
pub(crate) fn other_request() -> Status {
    invalid_request("this request_id was used for another request; draw one for each")
}

/// A fault of an authorization request.
pub(crate) fn fault(fault: &Fault) -> Status {
    match fault {
        Fault::Direct(error) => oauth(error),
        Fault::Redirect(uri, error) => error::with_metadata(
            code(error.code),
            error.code.as_str(),
            error.description.as_str(),
            HashMap::from([(error::REDIRECT_URI.to_owned(), uri.to_string())]),
        ),
    }
}

/// A refused ticket.
pub(crate) fn refusal(refusal: Refusal) -> Status {
    match refusal {
        Refusal::TicketExpired => error::status(
            Code::FailedPrecondition,
            "ticket_expired",
            "This page is too old or was used already. Start again from the app.",
        ),
        Refusal::LoginRequired => error::status(
            Code::FailedPrecondition,
            "login_required",
            "You are not signed in as the person this page was made for. Start again from the app.",
        ),
    }
}

/// A store that failed.
pub(crate) fn store(error: &StoreError) -> Status {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(event = "store.unavailable", cause, "the store did not answer");
            unavailable()
        }
        StoreError::Corrupt(cause) => {
            tracing::error!(event = "store.corrupt", cause, "a record cannot be read");
            internal()
        }
        StoreError::Misuse(cause) => {
            tracing::error!(event = "store.misuse", cause, "a batch breaks the store's contract");
            internal()
        }
    }
}

/// Try again later.
pub(crate) fn unavailable() -> Status {
    error::status(
        Code::Unavailable,
        OAuthErrorCode::TemporarilyUnavailable.as_str(),
        "the service is not available right now; try again",
    )
}

fn internal() -> Status {
    error::status(Code::Internal, OAuthErrorCode::ServerError.as_str(), "the service failed; its log says why")
}

/// A defect that was logged where it was found.
pub(crate) fn defect(what: &str) -> Status {
    tracing::error!(event = "service.defect", what, "this should not happen");
    internal()
}

/// Nothing of that name.
pub(crate) fn not_found(reason: &str, message: &str) -> Status {
    error::status(Code::NotFound, reason, message)
}
