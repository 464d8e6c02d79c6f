//! A gRPC status with a machine-readable reason (`google.rpc.ErrorInfo`), both ways.
//!
//! The service builds statuses with [`Word::status`] or, for an OAuth error code, with [`status`]; callers read them with
//! [`Reason::of`]. The head of `token_service.proto` lists every reason, and a test of the token service compares.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The `domain` of every `ErrorInfo` of this contract.
pub const DOMAIN: &str = "grantd.v1";

/// Metadata key: the validated redirect URI an authorization error may be sent to.
pub const REDIRECT_URI: &str = "redirect_uri";

macro_rules! words {
    ($($(#[$meta:meta])* $word:ident: $text:literal, $code:ident;)+) => {
        /// A reason that is no OAuth error code, but a word of this contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Word { $($(#[$meta])* $word,)+ }

        impl Word {
            /// Every word.
            pub const ALL: &[Self] = &[$(Self::$word,)+];

            /// As it goes over the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }

            /// The status code that it comes with.
            pub const fn code(self) -> Code {
                match self { $(Self::$word => Code::$code,)+ }
            }
        }
    };
}

words! {
    /// Too many attempts.
    SlowDown: "slow_down", ResourceExhausted;
    /// A consent page that is too old or was used.
    TicketExpired: "ticket_expired", FailedPrecondition;
    /// A ticket that was made for another session.
    OtherSession: "login_required", FailedPrecondition;
    /// Nobody is signed in.
    LoginRequired: "login_required", Unauthenticated;
    /// User name or password is wrong.
    InvalidCredentials: "invalid_credentials", Unauthenticated;
    /// No such client, where one was asked for by its id.
    UnknownClient: "invalid_client", NotFound;
    /// No such grant.
    UnknownGrant: "unknown_grant", NotFound;
    /// No such person.
    UnknownUser: "unknown_user", NotFound;
    /// The name is taken.
    UserExists: "user_exists", AlreadyExists;
    /// The caller is not known.
    Unauthenticated: "unauthenticated", Unauthenticated;
    /// The caller's role does not suffice.
    Forbidden: "forbidden", PermissionDenied;
    /// The store is no file of this process.
    NotEmbedded: "not_embedded", FailedPrecondition;
    /// There is such a file already.
    FileExists: "file_exists", AlreadyExists;
}

impl Word {
    /// A status with this reason. `message` goes to the person who caused it, so it must be safe to show.
    pub fn status(self, message: impl Into<String>) -> Status {
        status(self.code(), self.as_str(), message)
    }
}

/// Builds a status that carries `reason`, an OAuth error code. `message` goes to the person who caused it, so it must be safe to show.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    with_metadata(code, reason, message, HashMap::new())
}

/// As [`status`], with `ErrorInfo.metadata`.
pub fn with_metadata(
    code: Code,
    reason: &str,
    message: impl Into<String>,
    metadata: HashMap<String, String>,
) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, metadata))
}

/// The reason a status carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// An OAuth error code, or a word of the contract.
    pub code: String,
    /// Extra facts, such as [`REDIRECT_URI`].
    pub metadata: HashMap<String, String>,
}

impl Reason {
    /// Reads the reason of a status of this contract; `None` for a transport failure or a foreign status.
    pub fn of(status: &Status) -> Option<Self> {
        let info = status.get_details_error_info()?;
        (info.domain == DOMAIN).then_some(Self { code: info.reason, metadata: info.metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_wire() {
        let sent = with_metadata(
            Code::InvalidArgument,
            "invalid_scope",
            "no",
            HashMap::from([(REDIRECT_URI.to_owned(), "https://a.example/cb".to_owned())]),
        );
        let mut headers = http::HeaderMap::new();
        sent.add_header(&mut headers).unwrap();
        let received = Status::from_header_map(&headers).unwrap();
        let reason = Reason::of(&received).unwrap();
        assert_eq!(reason.code, "invalid_scope");
        assert_eq!(reason.metadata.get(REDIRECT_URI).unwrap(), "https://a.example/cb");
    }

    #[test]
    fn a_foreign_status_has_no_reason() {
        assert_eq!(Reason::of(&Status::unavailable("gone")), None);
    }
}
