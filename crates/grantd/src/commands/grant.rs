//! `grantd grant`: what people have allowed clients to do.

use grantd_proto::v1;

use crate::{
    admin::client::{Admin, Store, request_id, told},
    cli::Grant,
    error::Error,
    terminal,
};

/// Does what was asked.
pub(crate) async fn run(command: Grant) -> Result<(), Error> {
    match command {
        Grant::List { target } => list(Admin::connect(&target.load()?, Store::MustExist).await?).await,
        Grant::Revoke { grant_id, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            let what = format!("cannot revoke {grant_id}");
            let known = v1::GetGrantRequest { grant_id: grant_id.clone() };
            admin.tokens.get_grant(known).await.map_err(told(what.clone()))?;
            let request = v1::RevokeGrantRequest { request_id: request_id()?, grant_id: grant_id.clone() };
            admin.tokens.revoke_grant(request).await.map_err(told(what))?;
            terminal::say(&format!("Revoked {grant_id}."));
            Ok(())
        }
    }
}

async fn list(mut admin: Admin) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListGrantsRequest { page_size: 1000, page_token, ..Default::default() };
        let page = admin.tokens.list_grants(request).await.map_err(told("cannot list grants"))?.into_inner();
        rows.extend(page.grants.into_iter().filter(|grant| !grant.revoked).map(|grant| {
            [
                grant.grant_id,
                grant.username,
                grant.client_id,
                grant.resource,
                grant.scope,
                format!("{}d", grant.expires_in / 86_400),
            ]
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    terminal::say(&terminal::table(["GRANT", "USER", "CLIENT_ID", "RESOURCE", "SCOPE", "EXPIRES IN"], &rows));
    Ok(())
}
