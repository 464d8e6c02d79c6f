//! The names of records: what operators look for with `redis-cli`.
//!
//! The braces are literal: they are the Redis hash tag, so everything of one grant lives in one slot.

use std::fmt;

/// The name of a record. Keys are made by the constructors only, so that the schema stands in one place.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// A registered client.
    pub fn client(client_id: &str) -> Self {
        Self(format!("oauth:client:{{{client_id}}}"))
    }

    /// A pending authorization, under the id of the grant to be.
    pub fn request(grant_id: &str) -> Self {
        Self(format!("oauth:request:{{{grant_id}}}"))
    }

    /// An authorization code; `hash` is base64url(SHA-256(secret)).
    pub fn code(grant_id: &str, hash: &str) -> Self {
        Self(format!("oauth:code:{{{grant_id}}}:{hash}"))
    }

    /// An access token: all that a bearer check needs.
    pub fn access(grant_id: &str, hash: &str) -> Self {
        Self(format!("oauth:access:{{{grant_id}}}:{hash}"))
    }

    /// A refresh token.
    pub fn refresh(grant_id: &str, hash: &str) -> Self {
        Self(format!("oauth:refresh:{{{grant_id}}}:{hash}"))
    }

    /// The head of a grant: the one record that decides.
    pub fn grant(grant_id: &str) -> Self {
        Self(format!("oauth:grant:{{{grant_id}}}"))
    }

    /// A sign-in session; `id` is the hash of its secret.
    pub fn session(id: &str) -> Self {
        Self(format!("oauth:session:{{{id}}}"))
    }

    /// A local user, by user name.
    pub fn user(username: &str) -> Self {
        Self(format!("oauth:user:{{{username}}}"))
    }

    /// That a client assertion was used, by the hash of its client's id and its `jti`. A slot of its own: it is written before
    /// whatever the assertion was for.
    pub fn assertion(hash: &str) -> Self {
        Self(format!("oauth:jti:{{{hash}}}"))
    }

    /// A key of any name: for what a store keeps beside records, such as the parts of an index, and for its tests.
    pub fn raw(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of record, the second segment: `access` of `oauth:access:..`. All that a span may know of a key.
    pub fn kind(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// What a Redis Cluster hashes: the text between the first `{` and the next `}`, or the whole key.
    pub fn slot(&self) -> &str {
        self.0
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'))
            .map(|(tag, _)| tag)
            .filter(|tag| !tag.is_empty())
            .unwrap_or(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an index for listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Index(String);

impl Index {
    /// Every client id.
    pub fn clients() -> Self {
        Self("oauth:index:clients".to_owned())
    }

    /// Every user name.
    pub fn users() -> Self {
        Self("oauth:index:users".to_owned())
    }

    /// Every grant id.
    pub fn grants() -> Self {
        Self("oauth:index:grants".to_owned())
    }

    /// The grant ids of one person.
    pub fn grants_of_subject(subject: &str) -> Self {
        Self(format!("oauth:index:grants-of-subject:{{{subject}}}"))
    }

    /// The grant ids of one client.
    pub fn grants_of_client(client_id: &str) -> Self {
        Self(format!("oauth:index:grants-of-client:{{{client_id}}}"))
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
