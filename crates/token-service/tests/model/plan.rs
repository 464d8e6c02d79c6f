//! What a history is about, and how rough it is.

use crate::{base::Times, rng::Rng};

/// What a history is about; each has promises of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Processes of one client share a credential.
    Siblings,
    /// One client exchanges its code, and goes on as siblings do.
    Code,
    /// Several present one code.
    Codes,
    /// No overlap, one process.
    Strict,
    /// Somebody else has old tokens.
    Thief,
    /// The grant is taken back.
    Revoke,
    /// The grant is taken back, the store fails over, and the processes listen for that.
    Guarded,
}

const KINDS: [Kind; 8] = {
    use Kind::*;
    [Siblings, Siblings, Code, Codes, Strict, Thief, Revoke, Guarded]
};

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) times: Times,
    pub(crate) processes: usize,
    pub(crate) holders: usize,
    /// Of operations that fail, in percent.
    pub(crate) faults: u64,
    /// Of operations that others overtake, in percent.
    pub(crate) slow: u64,
    pub(crate) crashes: usize,
    pub(crate) failovers: usize,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let kind = *rng.pick(&KINDS);
        let strict = kind == Kind::Strict;
        Self {
            kind,
            times: Times {
                overlap: if strict { 0 } else { 3600 },
                drain: if rng.chance(15) { 120 } else { 0 },
                access: *rng.pick(&[900, 3600]),
            },
            processes: 2 + rng.below(2),
            holders: if strict { 1 } else { 1 + rng.below(3) },
            faults: *rng.pick(&[0, 3, 10]),
            slow: *rng.pick(&[0, 10, 30]),
            crashes: if kind == Kind::Guarded { 0 } else { rng.below(3) },
            failovers: match kind {
                Kind::Guarded => 1 + rng.below(2),
                Kind::Codes | Kind::Strict => 0,
                _ => rng.below(3),
            },
        }
    }
}
