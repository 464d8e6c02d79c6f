//! What went wrong, and how it is said.
//!
//! 1. [`Failure::of`] reads a gRPC status: one match over every code, with the reason the contract puts into it.
//! 2. [`Failure::json`] says it to a program (RFC 6749 §5.2, RFC 7591 §3.2.2).
//! 3. `pages` says it to a person, `answer` sends it to a client's redirect URI (RFC 6749 §4.1.2.1).
//!
//! What goes out is safe to show. Causes are logged where the status is read, in `call`, and nowhere else.

use std::{any::Any, error::Error as _};

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use grantd_oauth_types::{OAuthError, OAuthErrorCode};
use grantd_proto::error::{REDIRECT_URI, Reason};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use tonic::{Code, Status};

use crate::cors;

/// Seconds a client should wait before it tries again; short, because a restart or failover is.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// Seconds to wait after having asked too often.
const RETRY_AFTER_SLOW_DOWN: HeaderValue = HeaderValue::from_static("30");

/// Why a request was not served; one variant for each way to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client's request is at fault.
    OAuth {
        /// What to tell it.
        error: OAuthError,
        /// Where the service allows the error to be sent; only from BeginAuthorization.
        redirect_uri: Option<String>,
    },
    /// The body is larger than is read.
    TooLarge,
    /// User name or password is wrong.
    WrongCredentials,
    /// The session is missing, over, or not the one that was asked.
    LoginRequired,
    /// The ticket of a consent page is unknown, used or too old.
    TicketExpired,
    /// Asked too often.
    SlowDown,
    /// A service is away, busy or slow; asking again may help.
    Unavailable,
    /// Our own fault.
    Internal,
}

impl Failure {
    /// A fault that the facade itself found in a request.
    pub(crate) fn oauth(code: OAuthErrorCode, description: impl AsRef<str>) -> Self {
        Self::OAuth { error: OAuthError::new(code, description), redirect_uri: None }
    }

    /// A request that cannot be read.
    pub(crate) fn invalid_request(description: impl AsRef<str>) -> Self {
        Self::oauth(OAuthErrorCode::InvalidRequest, description)
    }

    /// Reads what a service answered.
    pub(crate) fn of(status: &Status) -> Self {
        if status.source().is_some() {
            // Made on this side of the connection, whatever its code: a broken HTTP/2 stream reads as INTERNAL.
            return Self::Unavailable;
        }
        let reason = Reason::of(status);
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::Unknown => {
                Self::Unavailable
            }
            Code::ResourceExhausted => match reason {
                Some(reason) if reason.code == "slow_down" => Self::SlowDown,
                _ => Self::Unavailable,
            },
            // Without a reason these say that the service refuses us, the facade: not the client's fault, and over when
            // the service key is put right.
            Code::Unauthenticated | Code::PermissionDenied => match reason {
                Some(reason) => Self::of_reason(reason, status.message()),
                None => Self::Unavailable,
            },
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::AlreadyExists
            | Code::OutOfRange => match reason {
                Some(reason) => Self::of_reason(reason, status.message()),
                None => Self::Internal,
            },
            Code::Internal | Code::DataLoss | Code::Unimplemented | Code::Ok => Self::Internal,
        }
    }

    fn of_reason(mut reason: Reason, message: &str) -> Self {
        match reason.code.as_str() {
            "invalid_credentials" => Self::WrongCredentials,
            "login_required" => Self::LoginRequired,
            "ticket_expired" => Self::TicketExpired,
            "slow_down" => Self::SlowDown,
            code => match OAuthErrorCode::parse(code) {
                Some(OAuthErrorCode::TemporarilyUnavailable) => Self::Unavailable,
                Some(OAuthErrorCode::ServerError) | None => Self::Internal,
                Some(code) => Self::OAuth {
                    error: OAuthError::new(code, message),
                    redirect_uri: reason.metadata.remove(REDIRECT_URI),
                },
            },
        }
    }

    /// The failure as HTTP status, error code and description.
    pub(crate) fn parts(&self) -> (StatusCode, OAuthErrorCode, &str) {
        use OAuthErrorCode as Error;
        match self {
            Self::OAuth { error, .. } => {
                let status = match error.code {
                    Error::InvalidClient | Error::InvalidToken => StatusCode::UNAUTHORIZED,
                    Error::InsufficientScope => StatusCode::FORBIDDEN,
                    Error::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
                    Error::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
                    Error::InvalidRequest
                    | Error::InvalidGrant
                    | Error::UnauthorizedClient
                    | Error::UnsupportedGrantType
                    | Error::UnsupportedResponseType
                    | Error::InvalidScope
                    | Error::AccessDenied
                    | Error::InvalidTarget
                    | Error::InvalidRedirectUri
                    | Error::InvalidClientMetadata => StatusCode::BAD_REQUEST,
                };
                (status, error.code, &error.description)
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Error::InvalidRequest, "the request body is too large"),
            Self::WrongCredentials => (StatusCode::UNAUTHORIZED, Error::AccessDenied, "wrong user name or password"),
            Self::LoginRequired => (StatusCode::FORBIDDEN, Error::AccessDenied, "nobody is signed in"),
            Self::TicketExpired => (StatusCode::BAD_REQUEST, Error::InvalidRequest, "this question is over"),
            Self::SlowDown => (StatusCode::TOO_MANY_REQUESTS, Error::TemporarilyUnavailable, "too many requests"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, Error::TemporarilyUnavailable, "try again in a moment")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Error::ServerError, "something went wrong here"),
        }
    }

    /// Puts the error code on the span of the endpoint, so that a trace says why its request was refused.
    pub(crate) fn trace(&self) {
        tracing::Span::current().record("error.type", self.parts().1.as_str());
    }

    /// The failure for a program. At the token endpoint a 429 throws SDK users into a new sign-in (measured), so only
    /// `/oauth/register` may answer one; see [`Failure::json_or_429`].
    pub(crate) fn json(&self) -> Response {
        match self {
            Self::SlowDown => Self::Unavailable.json_or_429(),
            _ => self.json_or_429(),
        }
    }

    /// As [`Failure::json`], but answers 429 to who asked too often.
    pub(crate) fn json_or_429(&self) -> Response {
        self.trace();
        let (status, code, description) = self.parts();
        let mut response = oauth_json(status, code, description);
        self.add_retry_after(response.headers_mut());
        response
    }

    /// Adds `Retry-After` where waiting helps.
    pub(crate) fn add_retry_after(&self, headers: &mut HeaderMap) {
        match self {
            Self::Unavailable => headers.insert(header::RETRY_AFTER, RETRY_AFTER),
            Self::SlowDown => headers.insert(header::RETRY_AFTER, RETRY_AFTER_SLOW_DOWN),
            _ => None,
        };
    }
}

/// RFC 6749 §5.2.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// An OAuth error as JSON.
pub(crate) fn oauth_json(status: StatusCode, code: OAuthErrorCode, description: &str) -> Response {
    plain_json(status, code.as_str(), description)
}

fn plain_json(status: StatusCode, error: &str, error_description: &str) -> Response {
    let body = Json(ErrorBody { error, error_description });
    (status, [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], body).into_response()
}

/// 404 for programs.
pub(crate) async fn not_found() -> Response {
    plain_json(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

/// The fallback: 404, readable from other origins, because clients look for metadata at addresses that are not there.
pub(crate) async fn unknown_path(method: Method) -> Response {
    if method == Method::OPTIONS {
        return cors::preflight();
    }
    let mut response = not_found().await;
    cors::add(response.headers_mut());
    response
}

/// 405; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    plain_json(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "this method is not allowed here")
}

/// Nothing of ours is ever to be taken for another content type.
pub(crate) async fn no_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What a client sees of a bug; the panic's message may hold anything, so it goes nowhere but to the panic hook.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> http::Response<Full<Bytes>> {
    tracing::error!("a handler panicked");
    let body = r#"{"error":"server_error","error_description":"something went wrong here"}"#;
    let mut response = http::Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use grantd_proto::error::{status, with_metadata};

    use super::*;

    #[test]
    fn every_status_has_one_answer() {
        for (code, reason, http, error) in [
            (Code::Unauthenticated, Some("invalid_client"), 401, "invalid_client"),
            (Code::NotFound, Some("invalid_client"), 401, "invalid_client"),
            (Code::InvalidArgument, Some("invalid_grant"), 400, "invalid_grant"),
            (Code::InvalidArgument, Some("invalid_request"), 400, "invalid_request"),
            (Code::InvalidArgument, Some("invalid_scope"), 400, "invalid_scope"),
            (Code::InvalidArgument, Some("invalid_target"), 400, "invalid_target"),
            (Code::InvalidArgument, Some("invalid_redirect_uri"), 400, "invalid_redirect_uri"),
            (Code::InvalidArgument, Some("invalid_client_metadata"), 400, "invalid_client_metadata"),
            (Code::InvalidArgument, Some("unauthorized_client"), 400, "unauthorized_client"),
            (Code::PermissionDenied, Some("access_denied"), 400, "access_denied"),
            (Code::Unavailable, None, 503, "temporarily_unavailable"),
            (Code::Unavailable, Some("temporarily_unavailable"), 503, "temporarily_unavailable"),
            (Code::Unavailable, Some("invalid_grant"), 503, "temporarily_unavailable"),
            (Code::DeadlineExceeded, None, 503, "temporarily_unavailable"),
            (Code::Cancelled, None, 503, "temporarily_unavailable"),
            (Code::Aborted, None, 503, "temporarily_unavailable"),
            (Code::Unknown, None, 503, "temporarily_unavailable"),
            (Code::ResourceExhausted, None, 503, "temporarily_unavailable"),
            (Code::ResourceExhausted, Some("slow_down"), 503, "temporarily_unavailable"),
            (Code::Unauthenticated, None, 503, "temporarily_unavailable"),
            (Code::PermissionDenied, None, 503, "temporarily_unavailable"),
            (Code::Internal, None, 500, "server_error"),
            (Code::Internal, Some("server_error"), 500, "server_error"),
            (Code::Internal, Some("invalid_grant"), 500, "server_error"),
            (Code::DataLoss, None, 500, "server_error"),
            (Code::Unimplemented, None, 500, "server_error"),
            (Code::InvalidArgument, None, 500, "server_error"),
            (Code::InvalidArgument, Some("a_word_of_the_future"), 500, "server_error"),
        ] {
            let sent = match reason {
                Some(reason) => status(code, reason, "told"),
                None => Status::new(code, "internals: redis://10.0.0.1"),
            };
            let failure = Failure::of(&sent);
            let response = failure.json();
            assert_eq!(response.status().as_u16(), http, "{code:?} {reason:?}");
            assert_eq!(response.headers().contains_key("retry-after"), http == 503, "{code:?} {reason:?}");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let shown = match failure {
                Failure::SlowDown => Failure::Unavailable,
                other => other,
            };
            let (_, code, description) = shown.parts();
            assert_eq!(code.as_str(), error);
            assert!(!description.contains("redis"), "{description}");
        }
    }

    #[test]
    fn every_oauth_code_has_a_client_status() {
        for code in OAuthErrorCode::ALL {
            let (status, out, _) = Failure::oauth(code, "x").parts().to_owned();
            assert_eq!(out, code);
            assert!(status.is_client_error() || status.is_server_error());
        }
    }

    #[test]
    fn a_broken_connection_is_not_our_fault() {
        let mut status = Status::internal("h2 protocol error");
        status.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
        assert_eq!(Failure::of(&status), Failure::Unavailable);
    }

    #[test]
    fn only_register_answers_429() {
        assert_eq!(Failure::SlowDown.json().status(), 503);
        assert_eq!(Failure::SlowDown.json_or_429().status(), 429);
    }

    #[test]
    fn words_of_the_contract() {
        for (reason, failure) in [
            ("login_required", Failure::LoginRequired),
            ("ticket_expired", Failure::TicketExpired),
            ("invalid_credentials", Failure::WrongCredentials),
        ] {
            assert_eq!(Failure::of(&status(Code::FailedPrecondition, reason, "x")), failure);
        }
        let metadata = HashMap::from([(REDIRECT_URI.to_owned(), "https://a.example/cb".to_owned())]);
        let sent = with_metadata(Code::InvalidArgument, "invalid_scope", "no", metadata);
        let Failure::OAuth { redirect_uri, .. } = Failure::of(&sent) else { panic!() };
        assert_eq!(redirect_uri.as_deref(), Some("https://a.example/cb"));
    }
}
