//! What the operator configured, as the rules need it. Checked by whoever reads the configuration.

use std::{collections::BTreeMap, time::Duration};

use grantd_oauth_types::{ClientId, ResourceUri, Scope, ScopeSet, TokenEndpointAuthMethod};

/// Everything the rules take from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// At least one; the first is the default resource.
    pub resources: Vec<ResourcePolicy>,
    /// Every known scope.
    pub scopes: BTreeMap<Scope, ScopePolicy>,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// What a replayed refresh token does.
    pub on_replay: OnReplay,
    /// How clients that register may authenticate at the token endpoint. At least one.
    pub auth_methods: Vec<TokenEndpointAuthMethod>,
}

/// One protected resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePolicy {
    /// Its identifier (RFC 8707).
    pub identifier: ResourceUri,
    /// The scopes it knows.
    pub scopes: ScopeSet,
    /// What a client gets that asks for none, or for none it knows.
    pub default_scopes: ScopeSet,
    /// Members of any of these groups may approve access to it.
    pub allow_groups: Vec<String>,
    /// Clients that may introspect its tokens (RFC 7662), beside the client of each.
    pub introspection_clients: Vec<ClientId>,
}

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopePolicy {
    /// For the consent page.
    pub description: String,
    /// Only members of any of these groups may grant it; empty: whoever may use the resource.
    pub allow_groups: Vec<String>,
    /// The scopes that whoever has it has too, with what they imply in turn.
    pub implies: ScopeSet,
}

impl Policy {
    /// A resource by its identifier.
    pub fn resource(&self, identifier: &ResourceUri) -> Option<&ResourcePolicy> {
        self.resources.iter().find(|resource| resource.identifier == *identifier)
    }

    /// What somebody with these scopes may do at a resource: they, and all that they imply of what the resource knows.
    ///
    /// Asked when it matters, at each check and on the consent page: grants, records and token responses hold what was
    /// granted, so a change of the configuration holds for tokens that are out there.
    pub fn with_implied(&self, granted: &ScopeSet, resource: &ResourcePolicy) -> ScopeSet {
        let mut all = granted.clone();
        let mut new: Vec<Scope> = granted.iter().cloned().collect();
        while let Some(scope) = new.pop() {
            for implied in self.scopes.get(&scope).into_iter().flat_map(|rule| rule.implies.iter()) {
                if !all.contains(implied) {
                    all = all.union(&std::iter::once(implied.clone()).collect());
                    new.push(implied.clone());
                }
            }
        }
        all.iter().filter(|scope| granted.contains(scope) || resource.scopes.contains(scope)).cloned().collect()
    }
}

/// How long things live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    /// Access tokens. At least 600 s: a measured client refreshes before every request below 300 s.
    pub access: Duration,
    /// Refresh tokens, from their last rotation.
    pub refresh: Duration,
    /// Authorization codes.
    pub code: Duration,
    /// Pending authorizations.
    pub request: Duration,
    /// Client registrations, from their last use.
    pub client: Duration,
    /// Client registrations that were never used: anybody may register, so what nobody uses goes early.
    pub unused_client: Duration,
    /// Sign-in sessions.
    pub session: Duration,
    /// How long a superseded refresh token still answers the current pair; zero is strict.
    pub refresh_overlap: Duration,
    /// How long a superseded access token stays valid.
    pub access_drain: Duration,
    /// The longest life of a grant, however often it is refreshed.
    pub grant_max_age: Option<Duration>,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        Self {
            access: Duration::from_secs(HOUR),
            refresh: Duration::from_secs(30 * DAY),
            code: Duration::from_secs(600),
            request: Duration::from_secs(600),
            client: Duration::from_secs(365 * DAY),
            unused_client: Duration::from_secs(7 * DAY),
            session: Duration::from_secs(12 * HOUR),
            refresh_overlap: Duration::from_secs(HOUR),
            access_drain: Duration::ZERO,
            grant_max_age: None,
        }
    }
}

/// What the replay of a spent refresh token does, when its successor is known to have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnReplay {
    /// Revoke the grant at once.
    #[default]
    Revoke,
    /// Refuse, and revoke when the person next consents to this client.
    Contest,
    /// Refuse only.
    Refuse,
}
