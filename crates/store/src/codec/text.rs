//! Values with a text form, as serde strings: one value, an optional one, a list.

use grantd_core::{Timestamp, ratchet::Salt};
use grantd_oauth_types::{
    ApplicationType, ClientId, CodeChallenge, Digest, GrantId, GrantType, RedirectUri, ResourceUri, ScopeSet,
    TokenEndpointAuthMethod,
};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// A value with exactly one text form.
pub(super) trait Text: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

macro_rules! text {
    ($($type:ty: $write:expr, $read:expr;)+) => { $(
        impl Text for $type {
            fn write(&self) -> String {
                let write: fn(&$type) -> String = $write;
                write(self)
            }
            fn read(text: &str) -> Option<Self> {
                let read: fn(&str) -> Option<$type> = $read;
                read(text)
            }
        }
    )+ };
}

text! {
    GrantId: |v| v.to_string(), Self::parse;
    ClientId: |v| v.to_string(), Self::parse;
    Digest: |v| v.to_string(), Self::parse;
    Salt: |v| Digest::new(v.0).to_string(), |text| Digest::parse(text).map(|digest| Salt(*digest.as_bytes()));
    CodeChallenge: |v| v.to_string(), Self::parse;
    RedirectUri: |v| v.to_string(), |text| RedirectUri::parse(text).ok();
    ResourceUri: |v| v.to_string(), |text| Some(ResourceUri::new(text));
    ScopeSet: |v| v.to_string(), |text| Some(ScopeSet::parse_lenient(text));
    TokenEndpointAuthMethod: |v| v.as_str().to_owned(), Self::parse;
    GrantType: |v| v.as_str().to_owned(), Self::parse;
    ApplicationType: |v| v.as_str().to_owned(), Self::parse;
}

pub(super) fn serialize<T: Text, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.write())
}

pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    // The value itself stays out of the error.
    T::read(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("unreadable value"))
}

/// `Option<T>`.
pub(super) mod option {
    use super::{Deserialize, Deserializer, Serializer, Text};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<T: Text, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_some(&value.write()),
            None => serializer.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| T::read(&text).ok_or_else(|| D::Error::custom("unreadable value")))
            .transpose()
    }
}

/// `Vec<T>`.
pub(super) mod list {
    use super::{Deserialize, Deserializer, Serializer, Text};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<T: Text, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(Text::write))
    }

    pub(in super::super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| T::read(text).ok_or_else(|| D::Error::custom("unreadable value")))
            .collect()
    }
}

/// A pair of digests.
pub(super) mod digests {
    use super::{Deserializer, Digest, Serializer, list};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(values: &[Digest; 2], serializer: S) -> Result<S::Ok, S::Error> {
        list::serialize(values, serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[Digest; 2], D::Error> {
        list::deserialize(deserializer)?.try_into().map_err(|_| D::Error::custom("expected two digests"))
    }
}

/// Milliseconds since the epoch, as a number.
pub(super) mod time {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub(in super::super) fn serialize<S: Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.0)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp)
    }
}

/// A time that stands for none.
pub(super) fn is_zero(time: &Timestamp) -> bool {
    *time == Timestamp::default()
}

/// A count of nothing.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
pub(super) fn is_none_yet(count: &u64) -> bool {
    *count == 0
}
