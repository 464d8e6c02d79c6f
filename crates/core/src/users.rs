//! Local users and sign-in sessions.
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
    let user = User { subject, username: username.clone(), email, groups, password_hash, epoch: 0, created_at: now };
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

/// A session for a person whose password was right.
pub fn open_session(policy: &Policy, user: &User, now: Timestamp, draw: &Draw) -> (SessionSecret, Session, Change) {
    let secret = SessionSecret(Secret::new(draw.bytes("session")));
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
