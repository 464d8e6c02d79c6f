//! Who may call what.

use grantd_proto::{Caller, Role, error};
use tonic::{Code, Request, Status};

/// Refuses a call whose caller lacks `role`; else gives the message.
pub(crate) fn require<T>(request: Request<T>, role: Role) -> Result<T, Status> {
    match request.extensions().get::<Caller>() {
        None => Err(error::status(
            Code::Unauthenticated,
            "unauthenticated",
            "send a service key as authorization: Bearer <key>",
        )),
        Some(caller) if caller.role < role => {
            tracing::warn!(event = "caller.forbidden", caller = %caller.name, needs = ?role, "a caller asked for more than its role allows");
            Err(error::status(Code::PermissionDenied, "forbidden", "this service key's role may not call this method"))
        }
        Some(_) => Ok(request.into_inner()),
    }
}
