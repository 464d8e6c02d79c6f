//! Security events: what an operator's log must say, by stable name.

/// What happened, beyond the plain answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client was registered.
    ClientRegistered,
    /// A registration was refused: too many came from its address.
    RegistrationRefused,
    /// An assertion by which a client authenticates came again. Nothing was changed.
    AssertionReplayed,
    /// A person agreed.
    ConsentGiven,
    /// A person refused.
    ConsentDenied,
    /// A code was exchanged for the first pair.
    TokensIssued,
    /// A used code came again with its verifier; the grant was revoked.
    CodeReplayed,
    /// The current refresh token was rotated.
    Refreshed,
    /// A token superseded less than the overlap ago was answered with the current pair.
    Converged,
    /// A spent token whose successor never arrived was answered with the current pair.
    ReplyLost,
    /// The store had lost acknowledged writes; a token from ahead of it was adopted, by a refresh or by a bearer check.
    RollbackRepaired,
    /// The store had lost so many that a token which was issued once cannot be followed; it was refused.
    RollbackTooFar,
    /// A token superseded less than the overlap ago was refused, as more rotations than are kept followed it. Nothing was
    /// changed: a client that refreshes this often has a fault, but its sibling is no thief.
    RefreshCrowded,
    /// A spent token came again.
    RefreshReplayed,
    /// A token that was never issued, or of another client. Nothing was changed.
    RefreshForged,
    /// The grant rests on a client or person that is gone or changed.
    GrantOrphaned,
    /// A grant was revoked on request.
    GrantRevoked,
}

impl Event {
    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientRegistered => "client.registered",
            Self::RegistrationRefused => "client.registration_refused",
            Self::AssertionReplayed => "client.assertion_replayed",
            Self::ConsentGiven => "consent.given",
            Self::ConsentDenied => "consent.denied",
            Self::TokensIssued => "tokens.issued",
            Self::CodeReplayed => "code.replayed",
            Self::Refreshed => "refresh.rotated",
            Self::Converged => "refresh.converged",
            Self::ReplyLost => "refresh.reply_lost",
            Self::RollbackRepaired => "store.rollback_repaired",
            Self::RollbackTooFar => "store.rollback_too_far",
            Self::RefreshCrowded => "refresh.crowded",
            Self::RefreshReplayed => "refresh.replayed",
            Self::RefreshForged => "refresh.forged",
            Self::GrantOrphaned => "grant.orphaned",
            Self::GrantRevoked => "grant.revoked",
        }
    }

    /// Whether somebody should look at it.
    pub const fn is_suspicious(self) -> bool {
        matches!(
            self,
            Self::RegistrationRefused
                | Self::AssertionReplayed
                | Self::CodeReplayed
                | Self::RefreshReplayed
                | Self::RefreshForged
                | Self::RefreshCrowded
                | Self::RollbackRepaired
                | Self::RollbackTooFar
        )
    }
}
