//! A relay before Redis that loses answers as networks do: the answer is gone, and the connection with it.
//!
//! 1. Commands and replies are taken apart (RESP 2 and 3), so that what is lost is one whole command or reply.
//! 2. Only what runs a script is lost, which is all that a store does with data. A handshake that fails is another test's.
//! 3. Half of the losses are commands that Redis never sees; the other half it has executed.
//! 4. With what is lost both connections end. Whatever else was under way on them is lost as well.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// What becomes of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// It is lost before Redis sees it.
    Unseen,
    /// It is executed, and its reply is lost.
    Unanswered,
}

pub(crate) struct LossyRedis {
    pub(crate) port: u16,
    lost: Arc<AtomicU64>,
}

impl LossyRedis {
    /// Passes everything on to a port of this machine but what `fate` decides to lose.
    pub(crate) async fn to(port: u16, fate: impl Fn() -> Fate + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let lost = Arc::new(AtomicU64::new(0));
        let count = lost.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (fate, count) = (fate.clone(), count.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    let awaited = Arc::default();
                    // Whichever ends first ends the other, and the connections with it.
                    tokio::select! {
                        () = commands(from_client, to_server, &awaited, fate, &count) => {}
                        () = replies(from_server, to_client, &awaited, &count) => {}
                    }
                });
            }
        });
        Self { port: own, lost }
    }

    /// How many commands and replies were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What becomes of the replies that Redis still owes, in order.
type Awaited = Mutex<VecDeque<Fate>>;

async fn commands(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    awaited: &Awaited,
    fate: impl Fn() -> Fate,
    lost: &AtomicU64,
) {
    let mut held = BytesMut::new();
    while from.read_buf(&mut held).await.is_ok_and(|read| read > 0) {
        while let Some(length) = frame(&held, 0) {
            let command = held.split_to(length);
            let fate = if runs_script(&command) { fate() } else { Fate::Answered };
            if fate == Fate::Unseen {
                lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            awaited.lock().unwrap().push_back(fate);
            if to.write_all(&command).await.is_err() {
                return;
            }
        }
    }
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, awaited: &Awaited, lost: &AtomicU64) {
    let mut held = BytesMut::new();
    while from.read_buf(&mut held).await.is_ok_and(|read| read > 0) {
        while let Some(length) = frame(&held, 0) {
            let reply = held.split_to(length);
            // What is pushed answers nothing.
            let fate = (reply[0] != b'>').then(|| awaited.lock().unwrap().pop_front()).flatten();
            if fate == Some(Fate::Unanswered) {
                lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if to.write_all(&reply).await.is_err() {
                return;
            }
        }
    }
}

/// Whether a command is `EVAL` or `EVALSHA`: an array whose first member is that.
fn runs_script(command: &[u8]) -> bool {
    let mut lines = command.split(|byte| *byte == b'\n');
    lines.nth(2).is_some_and(|name| name.to_ascii_uppercase().starts_with(b"EVAL"))
}

/// Where the frame that begins at `from` ends, once all of it is there.
fn frame(bytes: &[u8], from: usize) -> Option<usize> {
    let end = bytes.get(from..)?.windows(2).position(|two| two == b"\r\n")? + from;
    let (kind, after) = (bytes[from], end + 2);
    let count = || std::str::from_utf8(&bytes[from + 1..end]).unwrap().parse::<i64>().unwrap();
    let several = |count: i64| (0..count).try_fold(after, |at, _| frame(bytes, at));
    match kind {
        b'$' | b'=' | b'!' => {
            let end = usize::try_from(count()).map_or(after, |length| after + length + 2);
            (end <= bytes.len()).then_some(end)
        }
        b'*' | b'~' | b'>' => several(count()),
        b'%' => several(2 * count()),
        // An attribute is followed by what it is about.
        b'|' => several(2 * count() + 1),
        _ => Some(after),
    }
}

#[test]
fn frames_are_taken_apart() {
    for (bytes, length) in [
        ("+OK\r\n+", Some(5)),
        ("$-1\r\n", Some(5)),
        ("$3\r\nabc\r\n", Some(9)),
        ("$3\r\nabc\r", None),
        ("*2\r\n$1\r\na\r\n:5\r\nrest", Some(15)),
        ("%1\r\n+a\r\n*0\r\n", Some(12)),
        ("*2\r\n:1\r\n", None),
        ("", None),
    ] {
        assert_eq!(frame(bytes.as_bytes(), 0), length, "{bytes:?}");
    }
    assert!(runs_script(b"*3\r\n$7\r\nevalsha\r\n$1\r\nx\r\n$1\r\n0\r\n"));
    assert!(!runs_script(b"*1\r\n$4\r\nPING\r\n"));
}
