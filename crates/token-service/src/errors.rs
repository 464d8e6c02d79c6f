//! Errors on their way out: one exhaustive map from each kind to a gRPC status.
//!
//! What goes out is safe to show; the cause is logged here, once.

use std::collections::HashMap;

use grantd_core::{approve::Refusal, authorize::Fault};
use grantd_oauth_types::{OAuthError, OAuthErrorCode};
use grantd_proto::error::{self, Word};
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
        Refusal::TicketExpired => {
            Word::TicketExpired.status("This page is too old or was used already. Start again from the app.")
        }
        Refusal::LoginRequired => Word::OtherSession
            .status("You are not signed in as the person this page was made for. Start again from the app."),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CONTRACT: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/grantd/v1/token_service.proto"));

    /// The name of a code in every language's documentation: `NOT_FOUND`.
    fn constant(code: Code) -> String {
        let mut name = String::new();
        for c in format!("{code:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
        }
        name
    }

    #[test]
    fn the_contract_lists_exactly_the_reasons_that_exist() {
        let words = Word::ALL.iter().map(|word| (word.as_str().to_owned(), constant(word.code())));
        let codes = OAuthErrorCode::ALL.iter().map(|of| (of.as_str().to_owned(), constant(code(*of))));
        let sent: BTreeSet<_> = words.chain(codes).collect();
        let table = CONTRACT.lines().skip_while(|line| !line.starts_with("//   reason "));
        let mut listed = BTreeSet::new();
        for row in table.skip(1).take_while(|line| line.starts_with("//   ")) {
            let mut cells = row.trim_start_matches('/').split_whitespace();
            // A row that goes on has a text alone.
            if row.starts_with("//    ") {
                continue;
            }
            let (Some(reason), Some(code), Some(_)) = (cells.next(), cells.next(), cells.next()) else {
                panic!("a row without what to do: {row}");
            };
            assert!(listed.insert((reason.to_owned(), code.to_owned())), "twice: {row}");
        }
        assert_eq!(listed, sent);
    }
}
