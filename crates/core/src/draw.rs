//! The randomness of one request.
//!
//! Everything a request needs at random is derived from the secret random bytes its sender drew once (`request_id`), by
//! label. A request that is sent again, to any replica, so draws the same ids, salts and secrets, and gets the answer of
//! the first attempt. Nothing that is stored lets anybody compute the bytes back.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secret random bytes and what is derived from them.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Draw([u8; 32]);

impl Draw {
    /// The shortest and longest `request_id`, in bytes.
    pub const REQUEST_ID_LEN: std::ops::RangeInclusive<usize> = 32..=64;

    /// Takes a request id; `None` when it is too short to be secret, or too long.
    pub fn from_request_id(request_id: &[u8]) -> Option<Self> {
        Self::REQUEST_ID_LEN.contains(&request_id.len()).then(|| {
            let (prk, _) = Hkdf::<Sha256>::extract(Some(b"grantd/1 request"), request_id);
            Self(prk.into())
        })
    }

    /// `N` bytes for one purpose; the same label gives the same bytes.
    pub fn bytes<const N: usize>(&self, label: &str) -> [u8; N] {
        let mut out = [0; N];
        if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(&self.0) {
            // Fails only beyond 255 blocks; every caller asks for at most 32 bytes.
            let _ = hkdf.expand(label.as_bytes(), &mut out);
        }
        out
    }

    /// 16 bytes for an id that people type: its text never begins with a dash, which a command line takes for a flag.
    pub fn id(&self, label: &str) -> [u8; 16] {
        let [first, rest @ ..] = self.bytes::<16>(label);
        let mut id = [first & 0x7f; 16];
        id.split_at_mut(1).1.copy_from_slice(&rest);
        id
    }

    /// The id of a commit of this request. A request that writes in several slots gives each its own label.
    pub fn commit_id(&self, label: &str) -> [u8; 16] {
        self.bytes(&format!("commit {label}"))
    }
}

impl fmt::Debug for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draw(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_independent_and_repeatable() {
        let draw = Draw::from_request_id(&[1; 32]).unwrap();
        assert_eq!(draw.bytes::<32>("a"), Draw::from_request_id(&[1; 32]).unwrap().bytes::<32>("a"));
        assert_ne!(draw.bytes::<32>("a"), draw.bytes::<32>("b"));
        assert_ne!(draw.bytes::<32>("a"), Draw::from_request_id(&[2; 32]).unwrap().bytes::<32>("a"));
        assert_ne!(draw.bytes::<32>("a"), [0; 32]);
        assert!((0..=u8::MAX).all(|n| Draw::from_request_id(&[n; 32]).unwrap().id("a")[0] < 0x80));
        assert!(Draw::from_request_id(&[1; 31]).is_none());
        assert!(Draw::from_request_id(&[1; 65]).is_none());
    }
}
