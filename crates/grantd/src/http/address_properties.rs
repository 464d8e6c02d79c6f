//! What holds for every `X-Forwarded-For`. Shared with the fuzz target, which includes this file and `address.rs` by their
//! paths: what belongs to a binary cannot be linked.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use super::address::TrustedProxies;

const PROXIES: [&str; 3] = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"];

fn is_proxy(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().first() == Some(&10) || ip.octets() == [127, 0, 0, 1],
        IpAddr::V6(ip) => ip.octets().first() == Some(&0xfd),
    }
}

/// The input is lines: the address of the peer, and the lines of `X-Forwarded-For`.
pub(crate) fn forwarded_for(input: &[u8]) {
    let Ok(proxies) = TrustedProxies::parse(PROXIES) else { unreachable!("three networks") };
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = lines.next().and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.parse().ok());
    let Some(peer): Option<IpAddr> = first else { return };
    let peer = SocketAddr::new(peer, 4711);
    let lines: Vec<&[u8]> = lines.collect();

    let client = proxies.client(peer, &headers(&lines));
    if !is_proxy(peer.ip()) {
        assert_eq!(client, peer);
        return;
    }
    let ip = client.ip();
    assert_eq!(ip.to_canonical(), ip, "an address has one form, or it has two limits");
    // What somebody wrote to the left of the client, and another proxy of ours to the right, changes nothing.
    if !is_proxy(ip) {
        for written in [&b"203.0.113.66"[..], b"10.0.0.1", b"nonsense, \xff", b",", b"[::1]:80,"] {
            let more: Vec<&[u8]> = [written].into_iter().chain(lines.iter().copied()).collect();
            assert_eq!(proxies.client(peer, &headers(&more)), client);
        }
        let first = lines.first().copied().unwrap_or_default();
        let joined = [b"203.0.113.66, ", first].concat();
        let more: Vec<&[u8]> = [&joined[..]].into_iter().chain(lines.iter().skip(1).copied()).collect();
        assert_eq!(proxies.client(peer, &headers(&more)), client);
        let more: Vec<&[u8]> = lines.iter().copied().chain([&b"10.1.2.3"[..]]).collect();
        assert_eq!(proxies.client(peer, &headers(&more)), client);
    }
    // It is nobody's invention: the peer, or something that stands there.
    let stands = |line: &&[u8]| {
        let text = String::from_utf8_lossy(line);
        text.split([',', ' ', '\t']).any(|hop| {
            let bare = hop.parse().or_else(|_| hop.trim_matches(['[', ']']).parse());
            let hop: Result<IpAddr, _> = bare.or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
            hop.is_ok_and(|hop| hop.to_canonical() == ip)
        })
    };
    assert!(ip == peer.ip().to_canonical() || lines.iter().any(stands), "{ip}");
}

fn headers(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        if let Ok(value) = hyper::header::HeaderValue::from_bytes(line) {
            headers.append("x-forwarded-for", value);
        }
    }
    headers
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn forwarded_for() {
        super::replay::replay("forwarded_for", super::forwarded_for);
    }
}
