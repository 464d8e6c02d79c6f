//! Takes a stream of server-sent events apart, and puts it together again (HTML Standard §9.2.6), without holding up more than
//! the one event that is not complete yet.

use bytes::{Bytes, BytesMut};

/// Splits a stream into events, each with the blank line that ends it.
#[derive(Default)]
pub(crate) struct Splitter {
    held: BytesMut,
    /// How much of it was searched.
    searched: usize,
}

impl Splitter {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// How many bytes of an incomplete event are held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// The next complete event.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let end = self.end()?;
        self.searched = 0;
        Some(self.held.split_to(end).freeze())
    }

    /// What is left when the stream ends: an event that nobody may dispatch.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    /// Where the first event ends: after a line end that another line end follows. A CR at the end may be half a line end.
    fn end(&mut self) -> Option<usize> {
        let bytes = &self.held;
        let mut at = self.searched;
        while let Some(byte) = bytes.get(at) {
            let after = match (byte, bytes.get(at + 1)) {
                (b'\n', _) => at + 1,
                (b'\r', Some(b'\n')) => at + 2,
                (b'\r', Some(_)) => at + 1,
                (b'\r', None) => break,
                _ => {
                    at += 1;
                    continue;
                }
            };
            match (bytes.get(after), bytes.get(after + 1)) {
                (Some(b'\n'), _) => return Some(after + 1),
                (Some(b'\r'), Some(b'\n')) => return Some(after + 2),
                (Some(b'\r'), Some(_)) => return Some(after + 1),
                (Some(b'\r') | None, None) => break,
                _ => at = after,
            }
        }
        self.searched = at;
        None
    }
}

/// The fields of an event: name and value of each line.
fn fields(event: &str) -> impl Iterator<Item = (&str, &str)> {
    // A stream may begin with a byte order mark. One elsewhere makes a field that nobody knows, which harms nobody here.
    let event = event.strip_prefix('\u{feff}').unwrap_or(event);
    // A CR LF gives an empty line more, which is no field.
    event.split(['\r', '\n']).filter(|line| !line.is_empty()).map(|line| match line.split_once(':') {
        Some((name, value)) => (name, value.strip_prefix(' ').unwrap_or(value)),
        None => (line, ""),
    })
}

/// The type of an event.
pub(crate) fn kind(event: &str) -> &str {
    fields(event).filter(|(name, _)| *name == "event").last().map_or("message", |(_, kind)| kind)
}

/// The data of an event.
pub(crate) fn data(event: &str) -> String {
    let lines: Vec<_> = fields(event).filter(|(name, _)| *name == "data").map(|(_, value)| value).collect();
    lines.join("\n")
}

/// The event with other data, which has no line ends.
pub(crate) fn with_data(event: &str, data: &str) -> String {
    let mut out = String::with_capacity(event.len());
    for (name, value) in fields(event).filter(|(name, _)| *name != "data") {
        out.extend([name, ": ", value, "\n"]);
    }
    out.extend(["data: ", data, "\n\n"]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\n\nid: 1\ndata: a\n\ndata: b\r\ndata:c\r\n\r\nevent: x\rdata\r\rdata: last\n";

    #[test]
    fn streams_are_split_wherever_they_are_cut() {
        let whole = ["\u{feff}: hello\n\n", "id: 1\ndata: a\n\n", "data: b\r\ndata:c\r\n\r\n", "event: x\rdata\r\r"];
        for size in 1..STREAM.len() {
            let (mut splitter, mut events) = (Splitter::default(), Vec::new());
            for piece in STREAM.as_bytes().chunks(size) {
                splitter.push(piece);
                while let Some(event) = splitter.next() {
                    events.push(String::from_utf8(event.to_vec()).unwrap());
                }
            }
            assert_eq!(events, whole, "{size}");
            assert_eq!(splitter.rest(), "data: last\n");
        }
    }

    #[test]
    fn events_are_read_and_rewritten() {
        assert_eq!(data("data: b\r\ndata:c\r\n\r\n"), "b\nc");
        assert_eq!(data("\u{feff}data: a\n\n"), "a");
        assert_eq!((kind("event: x\rdata\r\r"), kind("data: a\n\n")), ("x", "message"));
        assert_eq!(with_data("id: 7\nevent: message\ndata: a\ndata: b\n\n", "c"), "id: 7\nevent: message\ndata: c\n\n");
        assert_eq!(with_data(": note\nretry: 5\ndata: a\n\n", "c"), ": note\nretry: 5\ndata: c\n\n");
    }
}
