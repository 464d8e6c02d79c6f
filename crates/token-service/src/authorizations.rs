//! Authorization requests: begin, approve, deny.

use grantd_core::{
    Change, Record, RecordKey,
    approve::{self, Loaded as Facts, signed_in},
    authorize::{self, AuthorizationRequest},
    ratchet::Ratchet,
    records::{Client, CodeRecord, Consent, Grant, PendingRequest, Session, User},
};
use grantd_oauth_types::{ClientId, Digest, GrantId, SessionSecret, Ticket};
use grantd_proto::v1::{self, authorization_decision::Outcome, begin_authorization_response::Next};
use grantd_store::Index;
use tonic::Status;
use tracing::{field::Empty, instrument};

use crate::{
    Service, convert, errors,
    events::{self, About},
    trace,
    transaction::{Loaded, draw},
};

/// A session older than this does not satisfy `prompt=login`.
const FRESH_SIGN_IN: std::time::Duration = std::time::Duration::from_secs(300);

/// The longest parameters that are looked at, in bytes; those with a rule of their own are checked there.
const MAX_PARAMETER: usize = 8192;

impl Service {
    #[instrument(
        name = "token_service.begin",
        skip_all,
        fields(grantd.client.id = Empty, grantd.flow.id = Empty, grantd.grant.id = Empty)
    )]
    pub(crate) async fn do_begin(
        &self,
        sent: v1::BeginAuthorizationRequest,
    ) -> Result<v1::BeginAuthorizationResponse, Status> {
        let draw = draw(&sent.request_id)?;
        if sent.scope.len() > MAX_PARAMETER || sent.resource.iter().map(String::len).sum::<usize>() > MAX_PARAMETER {
            return Err(errors::invalid_request("the request is too long"));
        }
        let request = AuthorizationRequest {
            redirect_uri: sent.redirect_uri,
            response_type: sent.response_type,
            scope: sent.scope,
            state: sent.state,
            code_challenge: sent.code_challenge,
            code_challenge_method: sent.code_challenge_method,
            resource: sent.resource,
        };
        let client_id = ClientId::parse(&sent.client_id);
        let client_key = client_id.clone().map(RecordKey::Client);
        let session = SessionSecret::parse(&sent.session_secret);
        let session_key = session.as_ref().map(|session| RecordKey::Session(session.digest()));
        let mut loaded = self.load(client_key.iter().chain(&session_key).cloned().collect()).await?;

        let mut client: Option<Client> = match &client_key {
            Some(key) => loaded.record(key)?,
            None => None,
        };
        let mut fetched = None;
        if let Some(id) = client_id.as_ref().filter(|id| id.is_url()) {
            let documented = self.documented(id, client, &sent.remote_address, loaded.now).await?;
            (client, fetched) = (Some(documented.client), documented.fetched);
        }
        if let Some(client) = &client {
            trace::client(client);
        }
        let checked =
            authorize::check(self.policy(), client.as_ref(), &request).map_err(|fault| errors::fault(&fault))?;
        let Some(client) = client else { return Err(errors::defect("a checked request without a client")) };

        let sign_in = |loaded: &Loaded| v1::BeginAuthorizationResponse {
            next: Some(Next::SignIn(v1::SignInRequired {
                client: Some(convert::client(&client, loaded.now)),
                redirect_uri: checked.redirect_uri.to_string(),
            })),
        };
        let (session_record, user) = self.session_and_user(&mut loaded, session_key.as_ref()).await?;
        let (Some(session), Some(record), Some(user)) =
            (session, &session_record, signed_in(session_record.as_ref(), user.as_ref()))
        else {
            return Ok(sign_in(&loaded));
        };
        if sent.prompt.split(' ').any(|prompt| prompt == "login") && loaded.now.since(record.created_at) > FRESH_SIGN_IN
        {
            return Ok(sign_in(&loaded));
        }

        // As it is kept: another authorization may have been first.
        let client = match fetched {
            Some(fetched) => self.keep_document(&client.id, &fetched, &draw).await?,
            None => client,
        };

        let begin = |now| {
            authorize::begin(self.policy(), &client, &checked, user, session.digest(), now, &draw)
                .map_err(|fault| errors::fault(&fault))
        };
        // The time does not matter to its name.
        let request_key = RecordKey::Request(begin(grantd_core::Timestamp::default())?.0.grant_id);
        let (now, pending, ticket) = self
            .transact(&draw, "begin", || async {
                let loaded = self.load(vec![request_key.clone()]).await?;
                let (pending, ticket, change) = begin(loaded.now)?;
                let now = loaded.now;
                // Its id is derived from this request, which was sent before: what was asked then stands.
                match loaded.record::<PendingRequest>(&request_key)? {
                    Some(there) if is_same(&there, &pending) => Ok((loaded, Change::default(), (now, there, ticket))),
                    Some(_) => Err(errors::other_request()),
                    None => Ok((loaded, change, (now, pending, ticket))),
                }
            })
            .await?;
        // The person reads everything that the client will be able to do.
        let all = self.policy().with_implied(&pending.consent.scope, checked.resource);
        let scopes = all.iter().map(|scope| v1::ScopeDescription {
            name: scope.to_string(),
            description: self.policy().scopes.get(scope).map(|rule| rule.description.clone()).unwrap_or_default(),
        });
        Ok(v1::BeginAuthorizationResponse {
            next: Some(Next::Consent(v1::ConsentRequired {
                ticket: ticket.to_text(),
                client: Some(convert::client(&client, now)),
                redirect_uri: pending.consent.redirect_uri.to_string(),
                user: Some(convert::user(user)),
                resource: pending.consent.resource.to_string(),
                scopes: scopes.collect(),
                expires_in: convert::remaining(now, pending.expires_at),
            })),
        })
    }

    /// The session that was loaded, and its person.
    pub(crate) async fn session_and_user(
        &self,
        loaded: &mut Loaded,
        key: Option<&RecordKey>,
    ) -> Result<(Option<Session>, Option<User>), Status> {
        let Some(key) = key else { return Ok((None, None)) };
        let Some(session) = loaded.record::<Session>(key)? else { return Ok((None, None)) };
        let user_key = RecordKey::User(session.username.clone());
        self.load_more(loaded, vec![user_key.clone()]).await?;
        let user = loaded.record(&user_key)?;
        Ok((Some(session), user))
    }

    #[instrument(
        name = "token_service.approve",
        skip_all,
        fields(grantd.client.id = Empty, grantd.flow.id = Empty, grantd.grant.id = Empty)
    )]
    pub(crate) async fn do_approve(
        &self,
        sent: v1::ApproveAuthorizationRequest,
    ) -> Result<v1::AuthorizationDecision, Status> {
        let draw = draw(&sent.request_id)?;
        let ticket = Ticket::parse(&sent.ticket).ok_or_else(|| errors::refusal(approve::Refusal::TicketExpired))?;
        let session = SessionSecret::parse(&sent.session_secret)
            .ok_or_else(|| errors::refusal(approve::Refusal::LoginRequired))?;
        let id = ticket.grant_id;
        let (approved, event) = self
            .transact(&draw, "approve", || async {
                let (loaded, facts) = self.ticket_facts(&ticket, &session).await?;
                let (approved, change, event) =
                    approve::approve(self.policy(), facts.borrow(), &ticket, &session, loaded.now)
                        .map_err(errors::refusal)?;
                Ok((loaded, change, (approved, event)))
            })
            .await?;
        if let Some(event) = event {
            events::log(event, &about(id, &approved.consent, &sent.remote_address));
        }
        // Also when the code was there already: who approved before may not have come this far.
        self.revoke_contested(&approved.consent, &draw).await?;
        Ok(decision(&approved.consent, Outcome::Code(approved.code.to_text())))
    }

    #[instrument(
        name = "token_service.deny",
        skip_all,
        fields(grantd.client.id = Empty, grantd.flow.id = Empty, grantd.grant.id = Empty)
    )]
    pub(crate) async fn do_deny(
        &self,
        sent: v1::DenyAuthorizationRequest,
    ) -> Result<v1::AuthorizationDecision, Status> {
        let draw = draw(&sent.request_id)?;
        let ticket = Ticket::parse(&sent.ticket).ok_or_else(|| errors::refusal(approve::Refusal::TicketExpired))?;
        let session = SessionSecret::parse(&sent.session_secret)
            .ok_or_else(|| errors::refusal(approve::Refusal::LoginRequired))?;
        let key = RecordKey::Request(ticket.grant_id);
        let commit = draw.commit_id("deny");
        let mark = Digest::of(&[b"denied ".as_slice(), ticket.digest().as_bytes()].concat());
        let (consent, event) = self
            .transact(&draw, "deny", || async {
                let (loaded, mut facts) = self.ticket_facts(&ticket, &session).await?;
                if let Some(denied) = facts.request.as_ref().filter(|_| loaded.written_by(&key, commit)) {
                    let consent = denied.consent.clone();
                    return Ok((loaded, Change::default(), (consent, None)));
                }
                // Denied before, by another click: the same answer to the same person and session.
                if let Some(denied) = facts.request.as_mut().filter(|request| request.ticket.matches(&mark)) {
                    denied.ticket = ticket.digest();
                    let (consent, ..) = approve::deny(facts.borrow(), &ticket, &session).map_err(errors::refusal)?;
                    return Ok((loaded, Change::default(), (consent, None)));
                }
                let (consent, mut change, event) =
                    approve::deny(facts.borrow(), &ticket, &session).map_err(errors::refusal)?;
                // A deletion leaves nothing by which this call is known when it is sent again. So the request stays, for
                // as long as it would have, and no ticket fits it; only another denial knows it again.
                if let Some(request) = facts.request {
                    let denied = PendingRequest { ticket: mark, ..request };
                    change.puts.push((key.clone(), Record::Request(denied)));
                    change.deletes.retain(|deleted| *deleted != key);
                }
                Ok((loaded, change, (consent, Some(event))))
            })
            .await?;
        if let Some(event) = event {
            events::log(event, &about(ticket.grant_id, &consent, &sent.remote_address));
        }
        Ok(decision(&consent, Outcome::Error("access_denied".to_owned())))
    }

    async fn ticket_facts(&self, ticket: &Ticket, session: &SessionSecret) -> Result<(Loaded, OwnedFacts), Status> {
        let id = ticket.grant_id;
        let keys = [
            RecordKey::Request(id),
            RecordKey::Code(id, approve::code_of(ticket).digest()),
            RecordKey::Grant(id),
            RecordKey::Session(session.digest()),
        ];
        let mut loaded = self.load(keys.to_vec()).await?;
        let [request, code, grant, session] = &keys;
        let (session, user) = self.session_and_user(&mut loaded, Some(session)).await?;
        trace::grant(id);
        let facts = OwnedFacts {
            request: loaded.record(request)?,
            code: loaded.record(code)?,
            grant: loaded.record(grant)?,
            session,
            user,
        };
        let consent = facts.request.as_ref().map(|request| &request.consent);
        if let Some(consent) = consent.or_else(|| facts.code.as_ref().map(|code| &code.consent)) {
            self.trace_client(&consent.client_id).await;
        }
        Ok((loaded, facts))
    }

    /// `on_replay = contest`: the person has come back to this client, so its contested grants end now.
    async fn revoke_contested(&self, consent: &Consent, draw: &grantd_core::Draw) -> Result<(), Status> {
        if self.policy().on_replay != grantd_core::OnReplay::Contest {
            return Ok(());
        }
        let mut after = String::new();
        loop {
            let page = self.page(&Index::grants_of_subject(&consent.subject), &after, 0).await?;
            let keys: Vec<_> = page.members.iter().filter_map(|id| GrantId::parse(id)).map(RecordKey::Grant).collect();
            let loaded = self.load(keys.clone()).await?;
            for key in &keys {
                let Some(grant) = loaded.record::<Grant>(key)? else { continue };
                let contested = grant.live().is_some_and(|ratchet: &Ratchet| ratchet.contested);
                if contested && grant.client_id == consent.client_id {
                    self.revoke_one(grant.id, draw).await?;
                }
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

/// What [`approve::Loaded`] borrows from.
struct OwnedFacts {
    request: Option<PendingRequest>,
    code: Option<CodeRecord>,
    grant: Option<Grant>,
    session: Option<Session>,
    user: Option<User>,
}

impl OwnedFacts {
    fn borrow(&self) -> Facts<'_> {
        Facts {
            request: self.request.as_ref(),
            code: self.code.as_ref(),
            grant: self.grant.as_ref(),
            session: self.session.as_ref(),
            user: self.user.as_ref(),
        }
    }
}

/// Whether both were made from one request, by the same client in the same session.
fn is_same(one: &PendingRequest, other: &PendingRequest) -> bool {
    one.ticket == other.ticket
        && one.session == other.session
        && one.consent.client_id == other.consent.client_id
        && one.consent.subject == other.consent.subject
}

fn about<'a>(id: GrantId, consent: &'a Consent, remote_address: &'a str) -> About<'a> {
    About {
        grant_id: Some(id),
        client_id: Some(&consent.client_id),
        subject: &consent.subject,
        username: &consent.username,
        remote_address,
        revoked: false,
    }
}

fn decision(consent: &Consent, outcome: Outcome) -> v1::AuthorizationDecision {
    v1::AuthorizationDecision {
        redirect_uri: consent.redirect_uri.to_string(),
        state: consent.state.clone(),
        outcome: Some(outcome),
    }
}
