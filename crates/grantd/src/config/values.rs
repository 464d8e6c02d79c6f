//! The forms of values in a configuration file: lifetimes (`"1h"`), sizes (`"64KiB"`), secrets, the public URL.
//!
//! Each is read from text and written back in the shortest form, and its error says what would do.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use grantd_oauth_types::PublicUrl;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A length of time with a unit: `30s`, `10m`, `1h`, `30d`, or several (`1h30m`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lifetime(pub(crate) Duration);

const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Lifetime {
    /// That many seconds.
    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write a number and a unit (ms, s, m, h, d, w), such as \"90s\", \"10m\", \"1h\" or \"30d\"";
        const LONG: &str = "that is too long";
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(FORM);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
            let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(FORM)?;
            let number: u64 = number.parse().map_err(|_| if number.is_empty() { FORM } else { LONG })?;
            total = number.checked_mul(*factor).and_then(|part| total.checked_add(part)).ok_or(LONG)?;
            rest = after;
        }
        // A hundred years: further on, sums with the time of day leave what records can hold.
        if total > 36_525 * 86_400_000 {
            return Err(LONG);
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        // Nobody writes a month as 4w2d.
        for (unit, factor) in UNITS.iter().filter(|(unit, _)| *unit != "w") {
            if left >= *factor {
                write!(f, "{}{unit}", left / factor)?;
                left %= factor;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number of bytes: `65536`, `64KiB`, `4MiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) usize);

const SIZES: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write a number of bytes, such as 65536, \"64KiB\" or \"4MiB\"";
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor = match unit.trim() {
            "" => 1,
            unit => SIZES.iter().find(|(name, _)| *name == unit).ok_or(FORM)?.1,
        };
        let number: usize = number.parse().map_err(|_| FORM)?;
        number.checked_mul(factor).map(Self).ok_or("that is too large")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            SIZES.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A secret. Never shown: not by `Debug`, and not by `grantd config check`.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Secret(String);

impl Secret {
    /// What it is, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    /// White space around a secret comes from files and shells, not from people.
    fn from(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(empty)" } else { "(redacted)" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Errors of a typed read would repeat the value.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self::from(text.as_str())),
            _ => Err(D::Error::custom("it must be a text in quotes")),
        }
    }
}

macro_rules! as_text {
    ($($type:ident),+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

as_text!(Lifetime, Size);

/// A value as its owner may have written it: a bare number gets the parser's own error.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        other => Err(D::Error::custom(format!("it must be a text in quotes, not a {}", other.type_str()))),
    }
}

/// One text, or several in an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore", into = "OneOrMore")]
pub(crate) struct Texts(pub(crate) Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "write a text in quotes, or several in an array")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Texts {
    fn from(read: OneOrMore) -> Self {
        match read {
            OneOrMore::One(text) => Self(vec![text]),
            OneOrMore::More(texts) => Self(texts),
        }
    }
}

impl From<Texts> for OneOrMore {
    fn from(Texts(mut texts): Texts) -> Self {
        match texts.pop() {
            Some(only) if texts.is_empty() => Self::One(only),
            last => Self::More(texts.into_iter().chain(last).collect()),
        }
    }
}

impl fmt::Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// For `#[serde(with)]`: the public URL.
pub(crate) mod public_url {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(url: &PublicUrl, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(url.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicUrl, D::Error> {
        PublicUrl::parse(&text(deserializer)?).map_err(D::Error::custom)
    }
}

/// For `#[serde(with)]`: an address to listen on.
pub(crate) mod address {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(address: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
        text(deserializer)?
            .parse()
            .map_err(|_| D::Error::custom("write an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"))
    }
}

/// For `#[serde(with)]`: an address to listen on, or none.
pub(crate) mod optional_address {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => super::address::serialize(address, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
        super::address::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (text, seconds, shown) in [
            ("1h", 3600, "1h"),
            ("30d", 2_592_000, "30d"),
            ("0s", 0, "0s"),
            ("90s", 90, "1m30s"),
            ("1h30m", 5400, "1h30m"),
            ("2w", 1_209_600, "14d"),
            (" 10m ", 600, "10m"),
        ] {
            let read: Lifetime = text.parse().unwrap();
            assert_eq!((read.0, read.to_string().as_str()), (Duration::from_secs(seconds), shown), "{text}");
        }
        assert_eq!("250ms".parse::<Lifetime>().unwrap().to_string(), "250ms");
        for bad in ["", "1", "h", "soon", "1.5h", "-1h", "1h 30m", "1hour", "99999999999999999999s", "200y", "40000d"] {
            assert!(bad.parse::<Lifetime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("65536", 65536, "64KiB"),
            ("64KiB", 65536, "64KiB"),
            ("4 MiB", 4 << 20, "4MiB"),
            ("7", 7, "7B"),
            ("0", 0, "0B"),
        ] {
            let read: Size = text.parse().unwrap();
            assert_eq!((read.0, read.to_string().as_str()), (bytes, shown), "{text}");
        }
        for bad in ["", "KiB", "1kb", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::from(" abc\n");
        assert_eq!(secret.expose(), "abc");
        assert_eq!(format!("{secret:?}"), "(redacted)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(redacted)\"");
    }
}
