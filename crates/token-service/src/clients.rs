//! Client registration and management (RFC 7591, RFC 7592 in spirit).

use grantd_core::{Change, Event, Record, RecordKey, records::Client, register};
use grantd_oauth_types::{ClientId, OAuthError, OAuthErrorCode};
use grantd_proto::{error::Word, v1};
use grantd_store::Index;
use tonic::Status;
use tracing::{field::Empty, instrument};

use crate::{
    Service, convert, errors,
    events::{self, About, Step},
    grants::Whose,
    limits,
    recommit::TakenBack,
    trace,
    transaction::{draw, to_its_end},
};

fn unknown_client() -> Status {
    Word::UnknownClient.status(register::UNKNOWN_CLIENT)
}

fn client_key(id: &str, registration_access_token: &str) -> Result<RecordKey, Status> {
    let Some(id) = ClientId::parse(id) else {
        check_registration(None, registration_access_token)?;
        return Err(unknown_client());
    };
    Ok(RecordKey::Client(id))
}

/// Refuses a client that manages its registration with a token that is not its. Without a token it is not the client that
/// asks, and its caller's role was checked.
fn check_registration(client: Option<&Client>, token: &str) -> Result<(), Status> {
    if token.is_empty() || register::may_manage(client, token) {
        return Ok(());
    }
    let description = "the registration access token or its client is unknown; register again";
    Err(errors::oauth(&OAuthError::new(OAuthErrorCode::InvalidToken, description)))
}

impl Service {
    #[instrument(name = "token_service.register", skip_all, fields(grantd.client.id = Empty, grantd.flow.id = Empty))]
    pub(crate) async fn do_register_client(
        &self,
        sent: v1::RegisterClientRequest,
    ) -> Result<v1::RegisterClientResponse, Status> {
        let draw = draw(&sent.request_id)?;
        let mut registration = convert::registration(sent.metadata.unwrap_or_default());
        registration.flow_id = sent.flow_id;
        // The time does not matter to what is checked; refuse bad metadata before the store is asked.
        let id = register::register(self.policy(), registration.clone(), grantd_core::Timestamp::default(), &draw)
            .map_err(|error| errors::oauth(&error))?
            .0
            .id;
        // Bursts from the shared addresses of hosted clients are normal. A caller that says no address is not limited.
        if !sent.remote_address.is_empty() && !self.0.registrations.admits(&limits::network(&sent.remote_address)) {
            events::log(
                Event::RegistrationRefused,
                &About { remote_address: &sent.remote_address, ..About::default() },
            );
            return Err(Word::SlowDown.status("too many registrations from this address; try again in a minute"));
        }
        let key = RecordKey::Client(id.clone());
        let (now, client, secret) = self
            .transact(&draw, "register client", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let (client, secret, change) =
                    register::register(self.policy(), registration.clone(), loaded.now, &draw)
                        .map_err(|error| errors::oauth(&error))?;
                let now = loaded.now;
                // Its id is derived from this request: it was sent before, and its client may have been renewed or
                // changed since.
                match loaded.record::<Client>(&key)? {
                    Some(there) if there.secret == client.secret => {
                        Ok((loaded, Change::default(), (now, there, secret)))
                    }
                    Some(_) => Err(errors::other_request()),
                    None => Ok((loaded, change, (now, client, secret))),
                }
            })
            .await?;
        self.index(&Index::clients(), id.as_str(), Some(client.expires_at)).await?;
        trace::client(&client);
        events::log(
            Event::ClientRegistered,
            &About { client_id: Some(&id), remote_address: &sent.remote_address, ..About::default() },
        );
        Ok(v1::RegisterClientResponse {
            client: Some(convert::client(&client, now)),
            client_secret: secret.map(|secret| secret.to_text()).unwrap_or_default(),
            registration_access_token: register::registration_access_token(&draw).to_text(),
        })
    }

    pub(crate) async fn do_get_client(&self, sent: &v1::GetClientRequest) -> Result<v1::Client, Status> {
        let key = client_key(&sent.client_id, &sent.registration_access_token)?;
        let loaded = self.load(vec![key.clone()]).await?;
        let client = loaded.record::<Client>(&key)?;
        check_registration(client.as_ref(), &sent.registration_access_token)?;
        let client = client.ok_or_else(unknown_client)?;
        Ok(convert::client(&client, loaded.now))
    }

    pub(crate) async fn do_update_client(
        &self,
        sent: v1::UpdateClientRequest,
        caller: &str,
    ) -> Result<v1::Client, Status> {
        let draw = draw(&sent.request_id)?;
        let key = client_key(&sent.client_id, &sent.registration_access_token)?;
        // First who asks: a stranger learns nothing of what may be registered for whom.
        let loaded = self.load(vec![key.clone()]).await?;
        check_registration(loaded.record::<Client>(&key)?.as_ref(), &sent.registration_access_token)?;
        let metadata =
            register::read_metadata(self.policy(), convert::registration(sent.metadata.clone().unwrap_or_default()))
                .map_err(|error| errors::oauth(&error))?;
        let (answer, id) = self
            .transact(&draw, "update client", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let client = loaded.record::<Client>(&key)?;
                check_registration(client.as_ref(), &sent.registration_access_token)?;
                let client = client.ok_or_else(unknown_client)?;
                if !sent.client_secret.is_empty() {
                    let secret = register::Credentials::Secret(&sent.client_secret);
                    register::authenticate(Some(&client), secret).map_err(|error| errors::oauth(&error))?;
                }
                let is_public = |client: &Client| client.secret.is_none();
                let wants_public =
                    metadata.token_endpoint_auth_method == grantd_oauth_types::TokenEndpointAuthMethod::None;
                if is_public(&client) != wants_public {
                    return Err(errors::invalid_request(
                        "a client cannot change between public and confidential; register a new one",
                    ));
                }
                let updated = Client { metadata: metadata.clone(), ..client };
                let answer = (convert::client(&updated, loaded.now), updated.id.clone());
                let change = Change {
                    unchanged: vec![key.clone()],
                    puts: vec![(key.clone(), Record::Client(updated))],
                    ..Change::default()
                };
                Ok((loaded, change, answer))
            })
            .await?;
        events::client(Step::ClientUpdated, &id, !sent.registration_access_token.is_empty(), caller);
        Ok(answer)
    }

    /// Runs to its end even if the caller hangs up.
    pub(crate) async fn do_delete_client(&self, sent: v1::DeleteClientRequest, caller: String) -> Result<(), Status> {
        let service = self.clone();
        to_its_end(async move { service.delete_client(&sent, &caller).await }).await
    }

    pub(crate) async fn delete_client(&self, sent: &v1::DeleteClientRequest, caller: &str) -> Result<(), Status> {
        let draw = draw(&sent.request_id)?;
        let Some(id) = ClientId::parse(&sent.client_id) else {
            return check_registration(None, &sent.registration_access_token);
        };
        let key = RecordKey::Client(id.clone());
        let loaded = self.load(vec![key.clone()]).await?;
        check_registration(loaded.record::<Client>(&key)?.as_ref(), &sent.registration_access_token)?;
        // 1. Its grants are shut out by the epoch, so that nothing can be refreshed any more. 2. Those that the index knows
        // end. 3. Only then the record goes: by it the client shows that it may, should it have to ask again.
        let shut_out = draw.commit_id("shut out client");
        let epoch = self
            .transact(&draw, "shut out client", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let Some(client) = loaded.record::<Client>(&key)? else { return Ok((loaded, Change::default(), None)) };
                if loaded.written_by(&key, shut_out) {
                    return Ok((loaded, Change::default(), Some(client.epoch)));
                }
                let epoch = client.epoch.saturating_add(1);
                let puts = vec![(key.clone(), Record::Client(Client { epoch, ..client }))];
                Ok((loaded, Change { unchanged: vec![key.clone()], puts, ..Change::default() }, Some(epoch)))
            })
            .await?;
        if epoch.is_some() {
            // From here on it gets nothing; should the rest fail, the call is sent again.
            events::client(Step::ClientRemoved, &id, !sent.registration_access_token.is_empty(), caller);
        }
        self.revoke_all(Whose::Client(&id), &draw).await?;
        if let Some(epoch) = epoch {
            self.transact(&draw, "delete client", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                // One with another epoch came back meanwhile; it is not the one that was meant.
                let is_meant = loaded.record::<Client>(&key)?.is_some_and(|client| client.epoch == epoch);
                let deletes = if is_meant { vec![key.clone()] } else { Vec::new() };
                Ok((loaded, Change { unchanged: deletes.clone(), deletes, ..Change::default() }, ()))
            })
            .await?;
            self.0.recent.note(&[TakenBack::Client { id: id.clone(), epoch }]);
        }
        self.0.store.index_remove(&Index::clients(), id.as_str()).await.map_err(|error| errors::store(&error))
    }

    pub(crate) async fn do_list_clients(
        &self,
        sent: &v1::ListClientsRequest,
    ) -> Result<v1::ListClientsResponse, Status> {
        let page = self.page(&Index::clients(), &sent.page_token, sent.page_size).await?;
        let keys: Vec<_> = page.members.iter().filter_map(|id| ClientId::parse(id)).map(RecordKey::Client).collect();
        let loaded = self.load(keys.clone()).await?;
        let mut clients = Vec::with_capacity(keys.len());
        for key in &keys {
            clients.extend(loaded.record::<Client>(key)?.map(|client| convert::client(&client, loaded.now)));
        }
        Ok(v1::ListClientsResponse { clients, next_page_token: page.next.unwrap_or_default() })
    }
}
