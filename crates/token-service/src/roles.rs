//! Who may call what.

use grantd_proto::{Caller, Role, error::Word};
use tonic::{Request, Status};

/// Refuses a call whose caller lacks `role`; else gives the message.
pub(crate) fn require<T>(request: Request<T>, role: Role) -> Result<T, Status> {
    require_by(request, role).map(|(message, _)| message)
}

/// As [`require`], and gives the caller's name as well: for what the log must say who did it.
pub(crate) fn require_by<T>(mut request: Request<T>, role: Role) -> Result<(T, String), Status> {
    match request.extensions_mut().remove::<Caller>() {
        None => Err(Word::Unauthenticated.status("send a service key as authorization: Bearer <key>")),
        Some(caller) if caller.role < role => {
            tracing::warn!(event = "caller.forbidden", caller = %caller.name, needs = ?role, "a caller asked for more than its role allows");
            Err(Word::Forbidden.status("this service key's role may not call this method"))
        }
        Some(caller) => Ok((request.into_inner(), caller.name)),
    }
}
