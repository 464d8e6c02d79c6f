//! Paths, cut short: a peer may ask for anything.

const MAX_CHARS: usize = 128;

/// The first 128 characters of a path, which never includes the query.
pub(super) fn bounded(path: &str) -> &str {
    match path.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => path.get(..end).unwrap_or_default(),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut_at_a_character() {
        assert_eq!(bounded("/token"), "/token");
        assert_eq!(bounded(&"é".repeat(200)), "é".repeat(128));
        assert_eq!(bounded(&"/".repeat(128)), "/".repeat(128));
    }
}
