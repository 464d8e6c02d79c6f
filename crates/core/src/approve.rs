//! What the person does with a pending request: approve or deny.
//!
//! Approving is idempotent while the code lives: the code is derived from the ticket, so a double click gets the same
//! answer. It commits on *this request, as loaded* and *no such grant yet*, in one slot.

use grantd_oauth_types::{AuthorizationCode, Digest, Secret, SessionSecret, Ticket};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::{
    change::{Change, Record, RecordKey},
    event::Event,
    policy::Policy,
    records::{CodeRecord, Consent, Grant, PendingRequest, Session, User},
    time::Timestamp,
};

/// What is loaded to decide: see [`code_of`] for the name of the code record.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// The pending request of the ticket's grant id.
    pub request: Option<&'a PendingRequest>,
    /// The code this ticket would give.
    pub code: Option<&'a CodeRecord>,
    /// The grant of the ticket's grant id.
    pub grant: Option<&'a Grant>,
    /// The session presented.
    pub session: Option<&'a Session>,
    /// The session's person.
    pub user: Option<&'a User>,
}

/// Why a ticket is refused; each is a page for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown, used up, or too old: start again from the app.
    TicketExpired,
    /// Nobody is signed in, or not the person and session the page was made for.
    LoginRequired,
}

/// The answer to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The code to send.
    pub code: AuthorizationCode,
    /// Where, and with which state.
    pub consent: Consent,
}

/// The code that approving this ticket gives.
pub fn code_of(ticket: &Ticket) -> AuthorizationCode {
    let mut secret = [0; 32];
    // One block: cannot fail.
    let _ = Hkdf::<Sha256>::new(Some(ticket.grant_id.as_bytes()), ticket.secret.expose())
        .expand(b"grantd/1 code", &mut secret);
    AuthorizationCode { grant_id: ticket.grant_id, secret: Secret::new(secret) }
}

/// Whether the session is valid and the person is still who signed in.
pub fn signed_in<'a>(session: Option<&Session>, user: Option<&'a User>) -> Option<&'a User> {
    let (session, user) = (session?, user?);
    (user.subject == session.subject && user.epoch == session.user_epoch).then_some(user)
}

fn check<'a>(
    loaded: Loaded<'a>,
    consent: &Consent,
    bound_to: Digest,
    session: &SessionSecret,
) -> Result<&'a User, Refusal> {
    let user = signed_in(loaded.session, loaded.user).ok_or(Refusal::LoginRequired)?;
    let same =
        bound_to.matches(&session.digest()) && user.subject == consent.subject && user.epoch == consent.user_epoch;
    same.then_some(user).ok_or(Refusal::LoginRequired)
}

/// The person clicked Authorize.
pub fn approve(
    policy: &Policy,
    loaded: Loaded<'_>,
    ticket: &Ticket,
    session: &SessionSecret,
    now: Timestamp,
) -> Result<(Approved, Change, Option<Event>), Refusal> {
    let code = code_of(ticket);
    if let Some(record) = loaded.code {
        check(loaded, &record.consent, record.session, session)?;
        return Ok((Approved { code, consent: record.consent.clone() }, Change::default(), None));
    }
    let request =
        loaded.request.filter(|request| request.ticket.matches(&ticket.digest())).ok_or(Refusal::TicketExpired)?;
    if loaded.grant.is_some() {
        return Err(Refusal::TicketExpired);
    }
    check(loaded, &request.consent, request.session, session)?;

    let record = CodeRecord {
        consent: request.consent.clone(),
        session: request.session,
        expires_at: now.plus(policy.lifetimes.code),
    };
    let (id, consent) = (ticket.grant_id, request.consent.clone());
    let change = Change {
        unchanged: vec![RecordKey::Request(id), RecordKey::Grant(id)],
        puts: vec![(RecordKey::Code(id, code.digest()), Record::Code(record))],
        deletes: vec![RecordKey::Request(id)],
        announce: Vec::new(),
    };
    Ok((Approved { code, consent }, change, Some(Event::ConsentGiven)))
}

/// The person clicked Deny.
pub fn deny(loaded: Loaded<'_>, ticket: &Ticket, session: &SessionSecret) -> Result<(Consent, Change, Event), Refusal> {
    let request =
        loaded.request.filter(|request| request.ticket.matches(&ticket.digest())).ok_or(Refusal::TicketExpired)?;
    check(loaded, &request.consent, request.session, session)?;
    let key = RecordKey::Request(ticket.grant_id);
    let change = Change { unchanged: vec![key.clone()], deletes: vec![key], ..Change::default() };
    Ok((request.consent.clone(), change, Event::ConsentDenied))
}
