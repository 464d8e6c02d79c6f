//! `grantd grant`: what people have allowed clients to do.

use grantd_proto::v1;

use crate::{
    admin::client::{Admin, Store, request_id, told},
    cli::{Grant, Which, Whose},
    error::Error,
    terminal,
};

/// Does what was asked.
pub(crate) async fn run(command: Grant) -> Result<(), Error> {
    match command {
        Grant::List { whose, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            let grants = grants(&mut admin, whose).await?;
            list(grants);
        }
        Grant::Show { grant_id, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            show(one(&mut admin, &grant_id, "show").await?);
        }
        Grant::Revoke { which, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            revoke(&mut admin, which).await?;
        }
    }
    Ok(())
}

async fn one(admin: &mut Admin, grant_id: &str, verb: &str) -> Result<v1::Grant, Error> {
    let known = v1::GetGrantRequest { grant_id: grant_id.to_owned() };
    let found = admin.tokens.get_grant(known).await.map_err(told(format!("cannot {verb} {grant_id}")))?;
    Ok(found.into_inner())
}

/// The stable id of a person, who must exist.
async fn subject(admin: &mut Admin, name: &str) -> Result<String, Error> {
    let mut page_token = String::new();
    loop {
        let request = v1::ListUsersRequest { page_size: 1000, page_token };
        let page = admin.identity.list_users(request).await.map_err(told("cannot list users"))?.into_inner();
        if let Some(user) = page.users.into_iter().find(|user| user.username == name.to_lowercase()) {
            return Ok(user.subject);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Err(Error::failed(format!("there is no user {}", terminal::tame(name))));
        }
    }
}

/// The grants that live.
async fn grants(admin: &mut Admin, whose: Whose) -> Result<Vec<v1::Grant>, Error> {
    let subject = match &whose.user {
        Some(name) => subject(admin, name).await?,
        None => String::new(),
    };
    let client_id = whose.client.unwrap_or_default();
    let mut grants = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListGrantsRequest {
            subject: subject.clone(),
            client_id: client_id.clone(),
            page_size: 1000,
            page_token,
        };
        let page = admin.tokens.list_grants(request).await.map_err(told("cannot list grants"))?.into_inner();
        grants.extend(page.grants.into_iter().filter(|grant| !grant.revoked));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(grants);
        }
    }
}

fn list(grants: Vec<v1::Grant>) {
    let row = |grant: v1::Grant| {
        let expires = format!("{}d", grant.expires_in / 86_400);
        [grant.grant_id, grant.username, grant.client_id, grant.resource, grant.scope, expires]
    };
    let rows: Vec<_> = grants.into_iter().map(row).collect();
    terminal::say(&terminal::table(["GRANT", "USER", "CLIENT_ID", "RESOURCE", "SCOPE", "EXPIRES IN"], &rows));
}

fn show(grant: v1::Grant) {
    let state = if grant.revoked { "revoked" } else { "in force" };
    let rows = [
        ("grant", grant.grant_id),
        ("state", state.to_owned()),
        ("user", grant.username),
        ("subject", grant.subject),
        ("client_id", grant.client_id),
        ("resource", grant.resource),
        ("scope", grant.scope),
        ("created at", format!("{} (Unix seconds)", grant.created_at)),
        ("expires in", format!("{}d", grant.expires_in / 86_400)),
        ("refreshed", format!("{} times", grant.generation.saturating_sub(1))),
    ];
    terminal::say(&terminal::facts(rows));
}

async fn revoke(admin: &mut Admin, which: Which) -> Result<(), Error> {
    let ids = match which.grant_id {
        // Revoking one that is not there is fine for a program; a person has mistyped.
        Some(id) => vec![one(admin, &id, "revoke").await?.grant_id],
        None => {
            let whose = Whose { user: which.user, client: which.client };
            grants(admin, whose).await?.into_iter().map(|grant| grant.grant_id).collect()
        }
    };
    for grant_id in &ids {
        let request = v1::RevokeGrantRequest { request_id: request_id()?, grant_id: grant_id.clone() };
        admin.tokens.revoke_grant(request).await.map_err(told(format!("cannot revoke {grant_id}")))?;
    }
    match ids.as_slice() {
        [] => terminal::say("There was nothing to revoke."),
        [one] => terminal::say(&format!("Revoked {one}.")),
        all => terminal::say(&format!("Revoked {} grants.", all.len())),
    }
    Ok(())
}
