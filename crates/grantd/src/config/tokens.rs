//! `[tokens]`: how long things live, and what a replay does.

use grantd_core::{Lifetimes, OnReplay};
use grantd_oauth_types::TokenEndpointAuthMethod as AuthMethod;
use serde::{Deserialize, Serialize};

use super::{load::Sources, problems::Problems, values::Lifetime};

/// How long things live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    /// Access tokens.
    pub(crate) access_ttl: Lifetime,
    /// Refresh tokens, from their last rotation.
    pub(crate) refresh_ttl: Lifetime,
    /// Authorization codes.
    pub(crate) code_ttl: Lifetime,
    /// A consent page that waits for its answer.
    pub(crate) request_ttl: Lifetime,
    /// Client registrations, from their last use.
    pub(crate) client_ttl: Lifetime,
    /// Client registrations that were never used.
    pub(crate) unused_client_ttl: Lifetime,
    /// How long a superseded refresh token still answers the current pair.
    pub(crate) refresh_overlap: Lifetime,
    /// What the replay of a spent refresh token does.
    pub(crate) on_replay: Replay,
    /// How long a superseded access token stays valid.
    pub(crate) access_drain: Lifetime,
    /// The longest life of a grant, however often it is refreshed.
    pub(crate) grant_max_age: Option<Lifetime>,
    /// How clients may authenticate at the token endpoint.
    pub(crate) endpoint_auth_methods: Vec<String>,
}

/// [`OnReplay`], as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Replay {
    #[default]
    Revoke,
    Contest,
    Refuse,
}

impl Default for Tokens {
    fn default() -> Self {
        let rules = Lifetimes::default();
        Self {
            access_ttl: Lifetime(rules.access),
            refresh_ttl: Lifetime(rules.refresh),
            code_ttl: Lifetime(rules.code),
            request_ttl: Lifetime(rules.request),
            client_ttl: Lifetime(rules.client),
            unused_client_ttl: Lifetime(rules.unused_client),
            refresh_overlap: Lifetime(rules.refresh_overlap),
            on_replay: Replay::default(),
            access_drain: Lifetime(rules.access_drain),
            grant_max_age: rules.grant_max_age.map(Lifetime),
            endpoint_auth_methods: AuthMethod::ALL.iter().map(|method| method.as_str().to_owned()).collect(),
        }
    }
}

impl Tokens {
    /// The overlap follows the access token's life unless it is set.
    pub(super) fn complete(&mut self, sources: &Sources) {
        if !sources.has("tokens.refresh_overlap") {
            self.refresh_overlap = self.access_ttl.min(self.refresh_ttl);
        }
    }

    /// As they are known; what is not was refused.
    pub(super) fn auth_methods(&self) -> Vec<AuthMethod> {
        self.endpoint_auth_methods.iter().filter_map(|text| AuthMethod::parse(text)).collect()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let known = AuthMethod::ALL.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ");
        problems.require(
            !self.endpoint_auth_methods.is_empty()
                && self.endpoint_auth_methods.iter().all(|text| AuthMethod::parse(text).is_some()),
            "tokens.endpoint_auth_methods",
            format!("name at least one, and only of {known}"),
        );
        let least = Lifetime::secs(600);
        problems.require(
            self.access_ttl >= least,
            "tokens.access_ttl",
            format!(
                "{} is too short: Claude Code refreshes before every request when less than 5m is left; set tokens.access_ttl to at least 10m",
                self.access_ttl
            ),
        );
        problems.require(
            self.access_ttl <= self.refresh_ttl,
            "tokens.refresh_ttl",
            "a refresh token must live at least as long as an access token (tokens.access_ttl)",
        );
        problems.require(
            self.refresh_overlap <= self.refresh_ttl,
            "tokens.refresh_overlap",
            format!(
                "it must not be longer than tokens.refresh_ttl ({}): no token is superseded that long",
                self.refresh_ttl
            ),
        );
        problems.require(
            self.access_drain <= Lifetime::secs(300),
            "tokens.access_drain",
            "a superseded access token must not live on for more than 5m; it bridges the moment of a rotation only",
        );
        for (key, value) in [("tokens.code_ttl", self.code_ttl), ("tokens.request_ttl", self.request_ttl)] {
            problems.require(
                value >= Lifetime::secs(10) && value <= Lifetime::secs(600),
                key,
                "it must be between 10s and 10m: a code must be of little use to whoever finds it later (RFC 6749 §4.1.2)",
            );
        }
        problems.require(
            self.client_ttl.0.saturating_sub(grantd_core::register::renewal_pause(self.client_ttl.0)) >= self.refresh_ttl.0,
            "tokens.client_ttl",
            "a registration must live a tenth, or a day, longer than a refresh token (tokens.refresh_ttl): it is renewed by use, but \
             not by every use, and people would be signed out early",
        );
        problems.require(
            self.unused_client_ttl >= Lifetime::secs(3600) && self.unused_client_ttl <= self.client_ttl,
            "tokens.unused_client_ttl",
            "it must be between 1h and tokens.client_ttl: people take their time between adding a server and signing in",
        );
        if let Some(age) = self.grant_max_age {
            problems.require(age >= self.access_ttl, "tokens.grant_max_age", "it must be at least tokens.access_ttl");
        }
    }
}

impl From<Replay> for OnReplay {
    fn from(replay: Replay) -> Self {
        match replay {
            Replay::Revoke => Self::Revoke,
            Replay::Contest => Self::Contest,
            Replay::Refuse => Self::Refuse,
        }
    }
}
