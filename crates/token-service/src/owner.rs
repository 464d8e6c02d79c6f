//! The first user.

use grantd_core::users::OWNER_GROUP;
use grantd_proto::v1;
use tonic::Status;

use crate::{Service, events::OURSELVES, tokens::own_request_id};

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
        if self.has_users().await? {
            return Ok(OwnerOutcome::Exists);
        }
        let request_id = own_request_id()?;
        let created = self
            .do_create_user(
                v1::CreateUserRequest {
                    request_id,
                    username: OWNER.to_owned(),
                    password,
                    email: String::new(),
                    groups: vec![OWNER_GROUP.to_owned()],
                },
                OURSELVES,
            )
            .await;
        match created {
            Ok(_) => Ok(OwnerOutcome::Created),
            // Another replica was first.
            Err(status) if status.code() == tonic::Code::AlreadyExists => Ok(OwnerOutcome::Exists),
            Err(status) => Err(status),
        }
    }

    /// Whether there is any user yet. The index alone does not say: it may list one that never came to be.
    pub async fn has_users(&self) -> Result<bool, Status> {
        let mut page_token = String::new();
        loop {
            let page = self.do_list_users(&v1::ListUsersRequest { page_size: 0, page_token }).await?;
            if !page.users.is_empty() {
                return Ok(true);
            }
            if page.next_page_token.is_empty() {
                return Ok(false);
            }
            page_token = page.next_page_token;
        }
    }
}
