//! Local users and sign-in sessions.
//!
//! A changed password and a removal end what rests on a person, by the epoch. A changed address or group ends nothing by
//! itself: what becomes of the person's grants then is said by [`crate::follow`].
//!
//! Passwords are hashed and checked by the caller, which can afford the time; these rules see the PHC string only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use grantd_oauth_types::{Secret, SessionSecret};

use crate::{
    change::{Change, Record, RecordKey},
    draw::Draw,
    policy::Policy,
    records::{Session, User},
    time::Timestamp,
};

/// The group that may approve access where nothing else is configured.
pub const OWNER_GROUP: &str = "owner";

/// The form in which user names are compared and stored; the error says what is wrong.
pub fn username(text: &str) -> Result<String, &'static str> {
    let name = text.trim().to_lowercase();
    if name.is_empty() || name.chars().count() > 128 {
        return Err("a user name has 1 to 128 characters");
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '{' | '}')) {
        return Err("a user name has no white space, control characters or braces");
    }
    Ok(name)
}

/// Whether a password may be set; the error says what is wrong.
pub fn check_password(password: &str) -> Result<(), &'static str> {
    match password.len() {
        0..8 => Err("a password has at least 8 bytes"),
        8..=1024 => Ok(()),
        _ => Err("a password has at most 1024 bytes"),
    }
}

/// Whether this may be a person's address; the error says what is wrong. Empty: none is known.
pub fn check_email(email: &str) -> Result<(), &'static str> {
    if email.len() > 320 || email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("an e-mail address has at most 320 bytes, and no white space or control characters");
    }
    Ok(())
}

/// Whether a person may be in these groups; the error says what is wrong.
pub fn check_groups(groups: &[String]) -> Result<(), &'static str> {
    if groups.len() > 256 {
        return Err("a person is in 256 groups at most");
    }
    let is_bad = |group: &String| group.trim().is_empty() || group.len() > 256 || group.chars().any(char::is_control);
    if groups.iter().any(is_bad) {
        return Err("the name of a group has 1 to 256 bytes, and no control characters");
    }
    Ok(())
}

/// What is to change about a person; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// The address; empty for none.
    pub email: Option<String>,
    /// All groups; those that are not named are taken away.
    pub groups: Option<Vec<String>>,
}

impl Update {
    /// The names of the fields that it is about, for the log.
    pub fn named(&self) -> Vec<&'static str> {
        let fields = [("email", self.email.is_some()), ("groups", self.groups.is_some())];
        fields.into_iter().filter_map(|(name, is_named)| is_named.then_some(name)).collect()
    }
}

/// What an [`Update`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The person afterwards.
    pub user: User,
    /// The names of the fields that differ now, for the log.
    pub fields: Vec<&'static str>,
    /// Whether a group was taken away.
    pub has_less: bool,
}

/// Changes a person's address or groups. They stay who they are, signed in, with their password. Nothing is written where
/// nothing differs.
pub fn update(user: &User, update: &Update) -> (Updated, Change) {
    let mut next = user.clone();
    let mut fields = Vec::new();
    if let Some(email) = update.email.as_ref().filter(|email| **email != user.email) {
        next.email.clone_from(email);
        fields.push("email");
    }
    if let Some(groups) = update.groups.as_ref().filter(|groups| **groups != user.groups) {
        next.groups.clone_from(groups);
        fields.push("groups");
    }
    let has_less = user.groups.iter().any(|group| !next.groups.contains(group));
    let mut change = Change::default();
    if !fields.is_empty() {
        next.revision = user.revision.saturating_add(1);
        let key = RecordKey::User(user.username.clone());
        change.unchanged.push(key.clone());
        change.puts.push((key, Record::User(next.clone())));
    }
    (Updated { user: next, fields, has_less }, change)
}

/// A new user. The caller has made sure that the name is free, and the commit makes sure again.
pub fn create(
    username: String,
    email: String,
    groups: Vec<String>,
    password_hash: String,
    now: Timestamp,
    draw: &Draw,
) -> (User, Change) {
    let subject = URL_SAFE_NO_PAD.encode(draw.bytes::<16>("subject"));
    let user = User {
        subject,
        username: username.clone(),
        email,
        groups,
        password_hash,
        epoch: 0,
        revision: 0,
        created_at: now,
    };
    let key = RecordKey::User(username);
    let change =
        Change { unchanged: vec![key.clone()], puts: vec![(key, Record::User(user.clone()))], ..Change::default() };
    (user, change)
}

/// A new password; sessions and grants of the old one end by the epoch.
pub fn set_password(user: &User, password_hash: String) -> (User, Change) {
    let key = RecordKey::User(user.username.clone());
    let user = User { password_hash, epoch: user.epoch.saturating_add(1), ..user.clone() };
    let change =
        Change { unchanged: vec![key.clone()], puts: vec![(key, Record::User(user.clone()))], ..Change::default() };
    (user, change)
}

/// Removes a user; sessions and grants end because their subject is gone.
pub fn remove(user: &User) -> Change {
    let key = RecordKey::User(user.username.clone());
    Change { unchanged: vec![key.clone()], deletes: vec![key], ..Change::default() }
}

/// The secret of the session that this request opens.
pub fn session_secret(draw: &Draw) -> SessionSecret {
    SessionSecret(Secret::new(draw.bytes("session")))
}

/// A session for a person whose password was right.
pub fn open_session(policy: &Policy, user: &User, now: Timestamp, draw: &Draw) -> (SessionSecret, Session, Change) {
    let secret = session_secret(draw);
    let session = Session {
        subject: user.subject.clone(),
        username: user.username.clone(),
        user_epoch: user.epoch,
        created_at: now,
        expires_at: now.plus(policy.lifetimes.session),
    };
    let key = RecordKey::Session(secret.digest());
    let change = Change {
        unchanged: vec![key.clone()],
        puts: vec![(key, Record::Session(session.clone()))],
        ..Change::default()
    };
    (secret, session, change)
}
