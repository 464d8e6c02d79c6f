//! `grantd user`: the people who may sign in.

use grantd_core::users;
use grantd_proto::v1;

use crate::{
    admin::client::{Admin, Store, request_id, told},
    cli::User,
    error::Error,
    owner, terminal,
};

/// Does what was asked.
pub(crate) async fn run(command: User) -> Result<(), Error> {
    match command {
        User::Add { name, email, groups, password_stdin, target } => {
            // What is wrong with the name is said before a password is asked for.
            let username = users::username(&name).map_err(|reason| Error::Usage(reason.to_owned()))?;
            let config = target.load()?;
            let mut admin = Admin::connect(&config, Store::MayBeNew).await?;
            let password = password(password_stdin)?;
            let in_no_group = groups.is_empty();
            let request = v1::CreateUserRequest { request_id: request_id()?, username, password, email, groups };
            let user =
                admin.identity.create_user(request).await.map_err(told(format!("cannot add {name}")))?.into_inner();
            terminal::say(&format!("Added {}.", user.username));
            if in_no_group {
                terminal::say(
                    "They may sign in, but approve nothing yet: resources admit groups (--group, allow_groups).",
                );
            }
        }
        User::Set { name, email, no_email, groups, no_groups, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            let request = v1::UpdateUserRequest {
                request_id: request_id()?,
                username: name.clone(),
                email: if no_email { Some(String::new()) } else { email },
                groups: (no_groups || !groups.is_empty()).then_some(v1::GroupList { names: groups }),
            };
            let user =
                admin.identity.update_user(request).await.map_err(told(format!("cannot change {name}")))?.into_inner();
            let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            let (email, groups) = (or_none(user.email), or_none(user.groups.join(", ")));
            terminal::say(&format!("Changed {}: e-mail {email}, groups {groups}.", user.username));
        }
        User::Passwd { name, password_stdin, target } => {
            let config = target.load()?;
            let mut admin = Admin::connect(&config, Store::MustExist).await?;
            let password = password(password_stdin)?;
            let request = v1::SetPasswordRequest { request_id: request_id()?, username: name.clone(), password };
            admin
                .identity
                .set_password(request)
                .await
                .map_err(told(format!("cannot change the password of {name}")))?;
            terminal::say(&format!("Changed the password of {name}; their sessions and grants have ended."));
            owner::forget_password(&config.data_dir, &name)?;
        }
        User::List { target } => list(Admin::connect(&target.load()?, Store::MustExist).await?).await?,
        User::Remove { name, target } => {
            let config = target.load()?;
            let mut admin = Admin::connect(&config, Store::MustExist).await?;
            let request = v1::DeleteUserRequest { request_id: request_id()?, username: name.clone() };
            admin.identity.delete_user(request).await.map_err(told(format!("cannot remove {name}")))?;
            terminal::say(&format!("Removed {name}; their sessions and grants have ended."));
            owner::forget_password(&config.data_dir, &name)?;
        }
    }
    Ok(())
}

fn password(from_stdin: bool) -> Result<String, Error> {
    let password = terminal::new_password(from_stdin)?;
    users::check_password(&password).map_err(Error::failed)?;
    Ok(password)
}

async fn list(mut admin: Admin) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListUsersRequest { page_size: 1000, page_token };
        let page = admin.identity.list_users(request).await.map_err(told("cannot list users"))?.into_inner();
        rows.extend(
            page.users.into_iter().map(|user| [user.username, user.email, user.groups.join(","), user.subject]),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    terminal::say(&terminal::table(["NAME", "EMAIL", "GROUPS", "SUBJECT"], &rows));
    Ok(())
}
