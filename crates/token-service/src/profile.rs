//! A person's address and groups, changed while their sessions and grants live on.
//!
//! 1. The record of the person is changed, on condition that it is still as it was read.
//! 2. The change is carried to every grant of theirs, which announces it: see `grantd_core::follow`.
//! 3. A grant that was being written meanwhile is looked at by who wrote it ([`Service::settle`]).
//! 4. What was committed is remembered, should the store fail over (`recommit`).
//!
//! So a bearer check stays one read. A call that is sent again, after its answer was lost, goes through all of it again.

use grantd_core::{
    Change, Draw, RecordKey, follow,
    records::{AccessRecord, Client, Grant, User},
    users::{self, Update, Updated},
    verify,
};
use grantd_oauth_types::{GrantId, ScopeSet};
use grantd_proto::v1;
use grantd_store::Index;
use tonic::Status;

use crate::{
    Service, convert, errors,
    events::{self, About, OURSELVES, Step},
    identity::unknown_user,
    recommit::{Profile, TakenBack},
    transaction::{Loaded, draw, to_its_end},
};

/// What became of a grant that was just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It stands, and its tokens say who the person is now.
    Stands,
    /// Client or person ended while it was being written.
    Orphaned,
}

impl Service {
    /// Runs to its end even if the caller hangs up.
    pub(crate) async fn do_update_user(&self, sent: v1::UpdateUserRequest, caller: String) -> Result<v1::User, Status> {
        let service = self.clone();
        to_its_end(async move { service.update_user(sent, &caller).await }).await
    }

    async fn update_user(&self, sent: v1::UpdateUserRequest, caller: &str) -> Result<v1::User, Status> {
        let draw = draw(&sent.request_id)?;
        let username = users::username(&sent.username).map_err(errors::invalid_request)?;
        let update = Update { email: sent.email, groups: sent.groups.map(|groups| groups.names) };
        users::check_email(update.email.as_deref().unwrap_or_default()).map_err(errors::invalid_request)?;
        users::check_groups(update.groups.as_deref().unwrap_or_default()).map_err(errors::invalid_request)?;
        let key = RecordKey::User(username);
        let commit = draw.commit_id("update user");
        let updated = self
            .transact(&draw, "update user", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let user = loaded.record::<User>(&key)?.ok_or_else(unknown_user)?;
                if loaded.written_by(&key, commit) {
                    // Sent again: what the person had before is not known any more.
                    let again = Updated { user, fields: update.named(), has_less: true };
                    return Ok((loaded, Change::default(), again));
                }
                let (updated, change) = users::update(&user, &update);
                Ok((loaded, change, updated))
            })
            .await?;
        let Updated { user, fields, has_less } = updated;
        if !fields.is_empty() {
            let about = events::Person { username: &user.username, subject: &user.subject, fields: &fields, caller };
            events::person(Step::UserUpdated, about);
        }
        self.0.recent.note(&[TakenBack::Profile(Profile {
            username: user.username.clone(),
            subject: user.subject.clone(),
            revision: user.revision,
            email: user.email.clone(),
            groups: user.groups.clone(),
        })]);
        self.follow_all(&user, has_less, &draw).await?;
        Ok(convert::user(&user))
    }

    /// Changes again what a failover undid, in the record of the person or of a grant. What is newer stays.
    pub(crate) async fn restore_profile(&self, request_id: &[u8], profile: &Profile) -> Result<(), Status> {
        let draw = draw(request_id)?;
        let key = RecordKey::User(profile.username.clone());
        let update = Update { email: Some(profile.email.clone()), groups: Some(profile.groups.clone()) };
        let found = self
            .transact(&draw, "restore profile", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let user = loaded.record::<User>(&key)?.filter(|user| user.subject == profile.subject);
                let Some(user) = user else { return Ok((loaded, Change::default(), None)) };
                if user.revision >= profile.revision {
                    let as_it_is = Updated { user, fields: Vec::new(), has_less: true };
                    return Ok((loaded, Change::default(), Some(as_it_is)));
                }
                let before = User { revision: profile.revision.saturating_sub(1), ..user };
                let (updated, change) = users::update(&before, &update);
                Ok((loaded, change, Some(updated)))
            })
            .await?;
        let Some(Updated { user, fields, .. }) = found else { return Ok(()) };
        if !fields.is_empty() {
            let caller = OURSELVES;
            let about = events::Person { username: &user.username, subject: &user.subject, fields: &fields, caller };
            events::person(Step::UserUpdated, about);
        }
        self.follow_all(&user, true, &draw).await
    }

    /// Carries a change of a person to every grant of theirs that the index knows.
    async fn follow_all(&self, user: &User, has_less: bool, draw: &Draw) -> Result<(), Status> {
        let index = Index::grants_of_subject(&user.subject);
        let mut after = String::new();
        loop {
            let page = self.page(&index, &after, 0).await?;
            for id in page.members.iter().filter_map(|id| GrantId::parse(id)) {
                self.follow_one(id, has_less, draw).await?;
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    async fn follow_one(&self, id: GrantId, has_less: bool, draw: &Draw) -> Result<(), Status> {
        let label = format!("follow {id}");
        let ended = self
            .transact(draw, &label, || async {
                let (loaded, Some(grant)) = self.grant(id).await? else {
                    return Ok((Loaded::default(), Change::default(), None));
                };
                // As they are now: another change may have been committed since.
                let (mut loaded, keys) = (loaded, follow::access_keys(&grant));
                self.load_more(&mut loaded, keys.clone()).await?;
                let Some(user) = self.person(&mut loaded, Some(&grant.username)).await? else {
                    return Ok((loaded, Change::default(), None));
                };
                let mut access = Vec::with_capacity(keys.len());
                for key in keys {
                    if let Some(record) = loaded.record::<AccessRecord>(&key)? {
                        access.push((key, record));
                    }
                }
                let (change, event) = follow::follow(self.policy(), &grant, &user, access, has_less, loaded.now);
                Ok((loaded, change, event.map(|event| (event, grant))))
            })
            .await?;
        if let Some((event, grant)) = ended {
            events::log(event, &About::revoked(id, &grant));
        }
        Ok(())
    }

    async fn grant(&self, id: GrantId) -> Result<(Loaded, Option<Grant>), Status> {
        let key = RecordKey::Grant(id);
        let loaded = self.load(vec![key.clone()]).await?;
        let grant = loaded.record::<Grant>(&key)?.filter(|grant| grant.live().is_some());
        Ok((loaded, grant))
    }

    /// Looks whether client and person are still as they were when a grant of theirs was decided on. They have other slots,
    /// so no commit can rest on them: who changed them before the grant was there did not find it, and who does so after it
    /// will.
    pub(crate) async fn settle(&self, id: GrantId, draw: &Draw) -> Result<Settled, Status> {
        let (mut loaded, Some(grant)) = self.grant(id).await? else { return Ok(Settled::Stands) };
        let (client_key, user_key) =
            (RecordKey::Client(grant.client_id.clone()), RecordKey::User(grant.username.clone()));
        let access_keys = follow::access_keys(&grant);
        let keys = [client_key.clone(), user_key.clone()].into_iter().chain(access_keys.clone());
        self.load_more(&mut loaded, keys.collect()).await?;
        let (client, user) = (loaded.record::<Client>(&client_key)?, loaded.record::<User>(&user_key)?);
        let needs = ScopeSet::default();
        let (client, person) = (client.as_ref(), user.as_ref());
        let stands =
            verify::grant(self.policy(), Some(&grant), client, person, &grant.resource, &needs, loaded.now).is_ok();
        let Some(user) = user.filter(|_| stands) else { return Ok(Settled::Orphaned) };
        for key in access_keys {
            let record = loaded.record::<AccessRecord>(&key)?;
            if record.is_some_and(|record| !follow::is_current(self.policy(), &grant, &user, &record)) {
                self.follow_one(id, true, draw).await?;
                break;
            }
        }
        Ok(Settled::Stands)
    }
}
