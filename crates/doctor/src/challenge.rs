//! Reading a `WWW-Authenticate` header as it is, faults included.

/// The first challenge of a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Challenge {
    /// The scheme, as it is spelled.
    pub(crate) scheme: String,
    /// Names, in lower case, and values.
    pub(crate) params: Vec<(String, String)>,
    /// Whether a value has a backslash.
    pub(crate) has_escapes: bool,
}

impl Challenge {
    /// Reads it, as leniently as can be (RFC 9110 §11.6.1).
    pub(crate) fn read(header: &str) -> Self {
        let header = header.trim();
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let mut challenge = Self { scheme: scheme.to_owned(), ..Self::default() };
        let (mut name, mut value) = (String::new(), None::<String>);
        let (mut quoted, mut escaped) = (false, false);
        for c in rest.chars().chain([',']) {
            match (&mut value, c) {
                (Some(value), c) if escaped => {
                    escaped = false;
                    value.push(c);
                }
                (Some(_), '\\') if quoted => {
                    escaped = true;
                    challenge.has_escapes = true;
                }
                (Some(_), '"') => quoted = !quoted,
                (Some(value), c) if quoted || c != ',' => value.push(c),
                (value, ',') => {
                    // A name after a blank follows the scheme of another challenge.
                    let last = name.split_whitespace().last().unwrap_or_default().to_ascii_lowercase();
                    if let Some(value) = value.take() {
                        challenge.params.push((last, value.trim().to_owned()));
                    }
                    name.clear();
                }
                (value @ None, '=') => *value = Some(String::new()),
                (_, c) => name.push(c),
            }
        }
        challenge
    }

    /// A parameter's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for (header, scheme, params) in [
            ("Bearer", "Bearer", &[][..]),
            ("", "", &[]),
            ("Bearer realm=\"a, b\", error=invalid_token", "Bearer", &[("realm", "a, b"), ("error", "invalid_token")]),
            ("bearer scope=\"\"", "bearer", &[("scope", "")]),
            ("Bearer a=\"x\\\"y\", b=\"z=1\"", "Bearer", &[("a", "x\"y"), ("b", "z=1")]),
            ("Bearer a=\"1\", Basic realm=\"2\"", "Bearer", &[("a", "1"), ("realm", "2")]),
            ("Bearer a=\"open", "Bearer", &[]),
        ] {
            let challenge = Challenge::read(header);
            let read: Vec<_> = challenge.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!((challenge.scheme.as_str(), &read[..]), (scheme, params), "{header}");
            assert_eq!(challenge.has_escapes, header.contains('\\'));
        }
    }
}
