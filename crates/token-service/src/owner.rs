//! The first user.

use grantd_core::users::OWNER_GROUP;
use grantd_proto::v1;
use grantd_store::Index;
use tonic::Status;

use crate::{Service, tokens::own_request_id};

/// The name of the first user.
pub const OWNER: &str = "owner";

/// What [`Service::ensure_owner`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerOutcome {
    /// There was no user; the owner was created with this password.
    Created,
    /// There are users; nothing was done.
    Exists,
}

impl Service {
    /// Creates the user `owner` when there is no user at all. An owner that was removed on purpose stays removed as long
    /// as anybody else is there.
    pub async fn ensure_owner(&self, password: String) -> Result<OwnerOutcome, Status> {
        if !self.page(&Index::users(), "", 1).await?.members.is_empty() {
            return Ok(OwnerOutcome::Exists);
        }
        let request_id = own_request_id()?;
        let created = self
            .do_create_user(v1::CreateUserRequest {
                request_id,
                username: OWNER.to_owned(),
                password,
                email: String::new(),
                groups: vec![OWNER_GROUP.to_owned()],
            })
            .await;
        match created {
            Ok(_) => Ok(OwnerOutcome::Created),
            // Another replica was first.
            Err(status) if status.code() == tonic::Code::AlreadyExists => Ok(OwnerOutcome::Exists),
            Err(status) => Err(status),
        }
    }

    /// Whether there is any user yet.
    pub async fn has_users(&self) -> Result<bool, Status> {
        Ok(!self.page(&Index::users(), "", 1).await?.members.is_empty())
    }
}
