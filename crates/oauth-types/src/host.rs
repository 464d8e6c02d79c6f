//! Hosts that everybody reads alike.

/// Whether a host, as the URL type has it, holds nothing but letters, digits and what addresses need. The URL standard
/// also lets quotes and braces stand in one; they would stand in headers and on pages.
pub(crate) fn is_plain(host: &str) -> bool {
    host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']'))
}
