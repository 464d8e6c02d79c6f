//! Untrusted text, made fit to show to a person.
//!
//! Clients choose their own names. Here everything goes that could make a page say what it does not say: control
//! characters, characters that turn the writing direction, invisible ones, heaps of accents, and sheer length. HTML
//! escaping is the templates' work.

/// The longest name shown, in characters.
pub(crate) const NAME: usize = 60;
/// The longest description or address shown, in characters.
pub(crate) const LINE: usize = 300;

/// Cleans `text` to one line of at most `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut marks = 0;
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            space = !out.is_empty();
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        marks = if is_combining(c) { marks + 1 } else { 0 };
        if marks > 2 {
            continue;
        }
        let needed = if space { 2 } else { 1 };
        if count + needed > max {
            out.push('…');
            break;
        }
        if space {
            out.push(' ');
            space = false;
        }
        // A name must not look as if it ended our quotation.
        out.push(if matches!(c, '“' | '”' | '„' | '‟' | '"') { '\'' } else { c });
        count += needed;
    }
    out
}

/// Bidirectional controls, zero-width characters, fillers, tags and private use.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffd}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{10ffff}')
}

/// The combining marks that stack without end.
fn is_combining(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tricks_are_taken_out() {
        for (text, shown) in [
            ("Claude Code (t)", "Claude Code (t)"),
            ("", ""),
            ("  a \n\t b  ", "a b"),
            ("a\0\u{1b}[31mb", "a [31mb"),
            ("\u{202e}evil\u{202c}", "evil"),
            ("a\u{2067}b\u{2069}c\u{200f}\u{61c}", "abc"),
            ("Cl\u{200b}au\u{feff}de\u{ad}", "Claude"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{3164}\u{2800}\u{e0041}\u{1bca0}\u{16fe4}", ""),
            ("e\u{301}", "e\u{301}"),
            ("e\u{301}\u{302}\u{303}\u{304}x", "e\u{301}\u{302}x"),
            ("x” is verified. “y", "x' is verified. 'y"),
            ("日本語 Ünï", "日本語 Ünï"),
        ] {
            assert_eq!(clean(text, NAME), shown, "{text:?}");
        }
    }

    #[test]
    fn length_is_capped() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcdef…");
        assert_eq!(clean("abcde fgh", 6), "abcde…");
    }

    proptest! {
        #[test]
        fn what_is_left_is_harmless(text in "\\PC{0,40}|[\u{0}-\u{20}\u{2000}-\u{2070}\u{e0000}-\u{e0fff}a-c]{0,40}") {
            let shown = clean(&text, 20);
            prop_assert!(shown.chars().count() <= 21);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert_eq!(shown.trim(), shown.as_str());
        }
    }
}
