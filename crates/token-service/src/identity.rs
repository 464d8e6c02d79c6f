//! Sign-in sessions and local users. How a person's address and groups change is in `profile`.

use grantd_core::{
    Change, Draw, RecordKey,
    approve::signed_in,
    records::{Session, User},
    users,
};
use grantd_oauth_types::SessionSecret;
use grantd_proto::{error::Word, v1};
use grantd_store::Index;
use tonic::Status;

use crate::{
    Service, convert, errors,
    events::{self, OURSELVES, Step},
    grants::Whose,
    recommit::TakenBack,
    transaction::{draw, to_its_end},
};

fn wrong() -> Status {
    Word::InvalidCredentials.status("User name or password is wrong.")
}

pub(crate) fn unknown_user() -> Status {
    Word::UnknownUser.status("there is no such user")
}

impl Service {
    pub(crate) async fn do_sign_in(&self, sent: v1::SignInRequest) -> Result<v1::SignInResponse, Status> {
        let draw = draw(&sent.request_id)?;
        let Ok(username) = users::username(&sent.username) else { return Err(wrong()) };
        if sent.password.len() > 1024 {
            return Err(wrong());
        }
        let key = RecordKey::User(username.clone());
        let (user, again) = self.user_and_session(&key, &draw).await?;
        if let Some(answer) = again {
            return Ok(answer);
        }
        self.0.passwords.admit(&username, &sent.remote_address)?;
        // Who is being removed has none.
        let hash = user.as_ref().map(|user| user.password_hash.clone()).filter(|hash| !hash.is_empty());
        let right = self.0.passwords.verify(sent.password, hash).await?;
        if !right {
            // People type passwords into the wrong field: a name that nobody has is not logged.
            let known = user.as_ref().map_or("", |user| &user.username);
            events::sign_in("sign_in.failed", known, "", &sent.remote_address);
        }
        let Some(user) = user.filter(|_| right) else { return Err(wrong()) };
        let (secret, expires_in) = self
            .transact(&draw, "sign in", || async {
                let (_, _, probe) = users::open_session(self.policy(), &user, grantd_core::Timestamp::default(), &draw);
                let loaded = self.load(probe.unchanged).await?;
                let (secret, session, change) = users::open_session(self.policy(), &user, loaded.now, &draw);
                let remaining = |session: &Session| convert::remaining(loaded.now, session.expires_at);
                let key = RecordKey::Session(secret.digest());
                let (change, expires_in) = match loaded.record::<Session>(&key)? {
                    // This call was sent before.
                    Some(there) if signed_in(Some(&there), Some(&user)).is_some() => {
                        (Change::default(), remaining(&there))
                    }
                    Some(_) => return Err(errors::other_request()),
                    None => (change, remaining(&session)),
                };
                Ok((loaded, change, (secret, expires_in)))
            })
            .await?;
        events::sign_in("sign_in.succeeded", &user.username, &user.subject, &sent.remote_address);
        Ok(v1::SignInResponse { session_secret: secret.to_text(), user: Some(convert::user(&user)), expires_in })
    }

    /// The person of this name; and the answer to this very call, when it was sent before and its session is there. Then
    /// nobody guesses, so it costs neither an attempt nor a password hash.
    async fn user_and_session(
        &self,
        key: &RecordKey,
        draw: &Draw,
    ) -> Result<(Option<User>, Option<v1::SignInResponse>), Status> {
        let secret = users::session_secret(draw);
        let session_key = RecordKey::Session(secret.digest());
        let loaded = self.load(vec![key.clone(), session_key.clone()]).await?;
        let (user, session) = (loaded.record::<User>(key)?, loaded.record::<Session>(&session_key)?);
        let again = signed_in(session.as_ref(), user.as_ref()).zip(session.as_ref()).map(|(user, session)| {
            v1::SignInResponse {
                session_secret: secret.to_text(),
                user: Some(convert::user(user)),
                expires_in: convert::remaining(loaded.now, session.expires_at),
            }
        });
        Ok((user, again))
    }

    pub(crate) async fn do_get_session(&self, sent: &v1::GetSessionRequest) -> Result<v1::GetSessionResponse, Status> {
        let required = || Word::LoginRequired.status("Sign in first.");
        let secret = SessionSecret::parse(&sent.session_secret).ok_or_else(required)?;
        let key = RecordKey::Session(secret.digest());
        let mut loaded = self.load(vec![key.clone()]).await?;
        let (session, user) = self.session_and_user(&mut loaded, Some(&key)).await?;
        let user = signed_in(session.as_ref(), user.as_ref()).ok_or_else(required)?;
        let expires_in = session.as_ref().map(|session| convert::remaining(loaded.now, session.expires_at));
        Ok(v1::GetSessionResponse { user: Some(convert::user(user)), expires_in: expires_in.unwrap_or_default() })
    }

    pub(crate) async fn do_sign_out(&self, sent: &v1::SignOutRequest) -> Result<(), Status> {
        let draw = draw(&sent.request_id)?;
        let Some(secret) = SessionSecret::parse(&sent.session_secret) else { return Ok(()) };
        let key = RecordKey::Session(secret.digest());
        self.transact(&draw, "sign out", || async {
            let loaded = self.load(vec![key.clone()]).await?;
            Ok((loaded, Change { deletes: vec![key.clone()], ..Change::default() }, ()))
        })
        .await
    }

    pub(crate) async fn do_create_user(&self, sent: v1::CreateUserRequest, caller: &str) -> Result<v1::User, Status> {
        let draw = draw(&sent.request_id)?;
        let username = users::username(&sent.username).map_err(errors::invalid_request)?;
        users::check_password(&sent.password).map_err(errors::invalid_request)?;
        users::check_email(&sent.email).map_err(errors::invalid_request)?;
        users::check_groups(&sent.groups).map_err(errors::invalid_request)?;
        let hash = self.0.passwords.hash(sent.password).await?;
        let key = RecordKey::User(username.clone());
        let commit = draw.commit_id("create user");
        self.index(&Index::users(), &username, None).await?;
        let user = self
            .transact(&draw, "create user", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                if let Some(there) = loaded.record::<User>(&key)? {
                    return if loaded.written_by(&key, commit) {
                        Ok((loaded, Change::default(), convert::user(&there)))
                    } else {
                        Err(Word::UserExists.status("there is a user of that name already"))
                    };
                }
                let (user, change) = users::create(
                    username.clone(),
                    sent.email.clone(),
                    sent.groups.clone(),
                    hash.clone(),
                    loaded.now,
                    &draw,
                );
                Ok((loaded, change, convert::user(&user)))
            })
            .await?;
        let about = events::Person { username: &user.username, subject: &user.subject, fields: &[], caller };
        events::person(Step::UserCreated, about);
        Ok(user)
    }

    /// Runs to its end even if the caller hangs up.
    pub(crate) async fn do_set_password(&self, sent: v1::SetPasswordRequest, caller: String) -> Result<(), Status> {
        let service = self.clone();
        to_its_end(async move { service.set_password(sent, &caller).await }).await
    }

    async fn set_password(&self, sent: v1::SetPasswordRequest, caller: &str) -> Result<(), Status> {
        let draw = draw(&sent.request_id)?;
        let username = users::username(&sent.username).map_err(errors::invalid_request)?;
        users::check_password(&sent.password).map_err(errors::invalid_request)?;
        let hash = self.0.passwords.hash(sent.password).await?;
        let key = RecordKey::User(username);
        let commit = draw.commit_id("set password");
        let changed = self
            .transact(&draw, "set password", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let user = loaded.record::<User>(&key)?.ok_or_else(unknown_user)?;
                if loaded.written_by(&key, commit) {
                    return Ok((loaded, Change::default(), user));
                }
                let (user, change) = users::set_password(&user, hash.clone());
                Ok((loaded, change, user))
            })
            .await?;
        let about = events::Person { username: &changed.username, subject: &changed.subject, fields: &[], caller };
        events::person(Step::PasswordChanged, about);
        self.0.recent.note(&[TakenBack::Password {
            username: changed.username,
            subject: changed.subject.clone(),
            epoch: changed.epoch,
            password_hash: changed.password_hash,
        }]);
        self.revoke_all(Whose::Subject(&changed.subject), &draw).await
    }

    /// Sets again what a failover undid. Nothing to do when the record is as new, or somebody else's.
    pub(crate) async fn restore_password(
        &self,
        request_id: &[u8],
        username: &str,
        subject: &str,
        epoch: u64,
        password_hash: &str,
    ) -> Result<(), Status> {
        let draw = draw(request_id)?;
        let key = RecordKey::User(username.to_owned());
        let undone = self
            .transact(&draw, "restore password", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let user = loaded.record::<User>(&key)?;
                let Some(user) = user.filter(|user| user.subject == subject && user.epoch < epoch) else {
                    return Ok((loaded, Change::default(), false));
                };
                let before = User { epoch: epoch.saturating_sub(1), ..user.clone() };
                let (_, change) = users::set_password(&before, password_hash.to_owned());
                Ok((loaded, change, true))
            })
            .await?;
        if !undone {
            return Ok(());
        }
        events::person(Step::PasswordChanged, events::Person { username, subject, fields: &[], caller: OURSELVES });
        self.revoke_all(Whose::Subject(subject), &draw).await
    }

    pub(crate) async fn do_list_users(&self, sent: &v1::ListUsersRequest) -> Result<v1::ListUsersResponse, Status> {
        let page = self.page(&Index::users(), &sent.page_token, sent.page_size).await?;
        let keys: Vec<_> = page.members.into_iter().map(RecordKey::User).collect();
        let loaded = self.load(keys.clone()).await?;
        let mut users = Vec::with_capacity(keys.len());
        for key in &keys {
            users.extend(loaded.record::<User>(key)?.as_ref().map(convert::user));
        }
        Ok(v1::ListUsersResponse { users, next_page_token: page.next.unwrap_or_default() })
    }

    /// Runs to its end even if the caller hangs up.
    pub(crate) async fn do_delete_user(&self, sent: v1::DeleteUserRequest, caller: String) -> Result<(), Status> {
        let service = self.clone();
        to_its_end(async move { service.delete_user(&sent, &caller).await }).await
    }

    pub(crate) async fn delete_user(&self, sent: &v1::DeleteUserRequest, caller: &str) -> Result<(), Status> {
        let draw = draw(&sent.request_id)?;
        let username = users::username(&sent.username).map_err(errors::invalid_request)?;
        let key = RecordKey::User(username.clone());
        // 1. The person is shut out, so that nothing can be refreshed any more. 2. The grants that the index knows end.
        // 3. Only then the record goes: it is what a call that is sent again finds the grants by.
        let shut_out = draw.commit_id("shut out");
        let subject = self
            .transact(&draw, "shut out", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let user = loaded.record::<User>(&key)?.ok_or_else(unknown_user)?;
                let done = loaded.written_by(&key, shut_out);
                let change = if done { Change::default() } else { users::set_password(&user, String::new()).1 };
                Ok((loaded, change, user.subject))
            })
            .await?;
        // From here on nobody gets in; should the rest fail, the call is sent again.
        let about = events::Person { username: &username, subject: &subject, fields: &[], caller };
        events::person(Step::UserRemoved, about);
        self.revoke_all(Whose::Subject(&subject), &draw).await?;
        self.transact(&draw, "delete user", || async {
            let loaded = self.load(vec![key.clone()]).await?;
            let change = match loaded.record::<User>(&key)? {
                None => Change::default(),
                Some(user) if loaded.written_by(&key, shut_out) => users::remove(&user),
                // Let in again meanwhile, or created anew; sent again, this call starts from there.
                Some(_) => return Err(errors::unavailable()),
            };
            Ok((loaded, change, ()))
        })
        .await?;
        self.0.recent.note(&[TakenBack::Person { username: username.clone(), subject }]);
        self.0.store.index_remove(&Index::users(), &username).await.map_err(|error| errors::store(&error))
    }
}
