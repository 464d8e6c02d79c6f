//! Grants for the operator: read, list, revoke; and their index.

use grantd_core::{Draw, Event, RecordKey, Timestamp, records::Grant, revoke};
use grantd_oauth_types::{ClientId, GrantId};
use grantd_proto::{error::Word, v1};
use grantd_store::{Index, IndexPage};
use tonic::Status;

use crate::{
    Service, convert, errors,
    events::{self, About},
    transaction::draw,
};

/// Grants of a client, or of a person.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    Client(&'a ClientId),
    Subject(&'a str),
}

impl Whose<'_> {
    fn index(self) -> Index {
        match self {
            Self::Client(id) => Index::grants_of_client(&id.key()),
            Self::Subject(subject) => Index::grants_of_subject(subject),
        }
    }
}

fn unknown_grant() -> Status {
    Word::UnknownGrant.status("there is no such grant")
}

impl Service {
    pub(crate) async fn index(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), Status> {
        self.0.store.index_add(index, member, expires_at).await.map_err(|error| errors::store(&error))
    }

    pub(crate) async fn page(&self, index: &Index, after: &str, size: u32) -> Result<IndexPage, Status> {
        let after = (!after.is_empty()).then_some(after);
        let page = self.0.store.index_list(index, after, convert::page_size(size)).await;
        page.map_err(|error| errors::store(&error))
    }

    /// Puts a grant into its indexes, before it is committed: a listing may show one that never came to be, but never
    /// misses one that did.
    pub(crate) async fn index_grant(
        &self,
        id: GrantId,
        client: &ClientId,
        subject: &str,
        expires_at: Timestamp,
    ) -> Result<(), Status> {
        let member = id.to_string();
        let (by_subject, by_client) = (Index::grants_of_subject(subject), Index::grants_of_client(&client.key()));
        let at = Some(expires_at);
        let all = Index::grants();
        futures::try_join!(
            self.index(&all, &member, at),
            self.index(&by_subject, &member, at),
            self.index(&by_client, &member, at),
        )?;
        Ok(())
    }

    pub(crate) async fn do_get_grant(&self, sent: &v1::GetGrantRequest) -> Result<v1::Grant, Status> {
        let key = RecordKey::Grant(GrantId::parse(&sent.grant_id).ok_or_else(unknown_grant)?);
        let loaded = self.load(vec![key.clone()]).await?;
        let grant = loaded.record::<Grant>(&key)?.ok_or_else(unknown_grant)?;
        Ok(convert::grant(&grant, loaded.now))
    }

    pub(crate) async fn do_list_grants(&self, sent: &v1::ListGrantsRequest) -> Result<v1::ListGrantsResponse, Status> {
        let index = match (sent.subject.as_str(), sent.client_id.as_str()) {
            ("", "") => Index::grants(),
            (subject, "") => Index::grants_of_subject(subject),
            ("", client_id) => {
                Index::grants_of_client(&ClientId::parse(client_id).map(|id| id.key()).unwrap_or_default())
            }
            _ => return Err(errors::invalid_request("list by subject or by client_id, not both")),
        };
        let page = self.page(&index, &sent.page_token, sent.page_size).await?;
        let keys: Vec<_> = page.members.iter().filter_map(|id| GrantId::parse(id)).map(RecordKey::Grant).collect();
        let loaded = self.load(keys.clone()).await?;
        let mut grants = Vec::with_capacity(keys.len());
        for key in &keys {
            let grant = loaded.record::<Grant>(key)?.filter(|grant| grant.live().is_some());
            grants.extend(grant.map(|grant| convert::grant(&grant, loaded.now)));
        }
        Ok(v1::ListGrantsResponse { grants, next_page_token: page.next.unwrap_or_default() })
    }

    pub(crate) async fn do_revoke_grant(&self, sent: &v1::RevokeGrantRequest) -> Result<(), Status> {
        let draw = draw(&sent.request_id)?;
        let id = GrantId::parse(&sent.grant_id).ok_or_else(unknown_grant)?;
        if self.revoke_one(id, &draw).await? { Ok(()) } else { Err(unknown_grant()) }
    }

    /// Revokes a grant; `false` when there is none.
    pub(crate) async fn revoke_one(&self, id: GrantId, draw: &Draw) -> Result<bool, Status> {
        let key = RecordKey::Grant(id);
        let label = format!("revoke {id}");
        let revoked = self
            .transact(draw, &label, || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let grant = loaded.record::<Grant>(&key)?;
                let change = grant.as_ref().map(|grant| revoke::revoke(grant, loaded.now)).unwrap_or_default();
                Ok((loaded, change, grant))
            })
            .await?;
        let Some(grant) = revoked else { return Ok(false) };
        if grant.live().is_some() {
            events::log(Event::GrantRevoked, &About::revoked(id, &grant));
        }
        Ok(true)
    }

    /// Revokes every grant of a client or person that the index knows. Those it misses end at their next exchange or
    /// refresh, by the epoch.
    pub(crate) async fn revoke_all(&self, whose: Whose<'_>, draw: &Draw) -> Result<(), Status> {
        let index = whose.index();
        let mut after = String::new();
        loop {
            let page = self.page(&index, &after, 0).await?;
            for id in page.members.iter().filter_map(|id| GrantId::parse(id)) {
                self.revoke_one(id, draw).await?;
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}
