//! Whose address a request has: the peer's, or what trusted proxies say of it.
//!
//! 1. Where the peer is no trusted proxy, it is the client, and its `X-Forwarded-For` means nothing.
//! 2. Else `X-Forwarded-For` is read from the right, where our own proxies write: the first address that is not one of
//!    them is the client's. What stands left of it anybody may have written.
//! 3. What is no address ends the reading at the last one that was: a limit per address then counts a proxy, never an
//!    address that somebody made up.
//!
//! Only limits and logs use it. Nothing is allowed because of an address.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of our own proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Of networks (`10.0.0.0/8`) and single addresses.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let one = |text: &str| text.parse().or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip)));
        let networks = texts.into_iter().map(|text| one(text).map_err(|_| text.to_owned()));
        networks.collect::<Result<_, _>>().map(Self)
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The client of a request that came from `peer`.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = peer.ip().to_canonical();
        if !self.has(client) {
            return peer;
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        for hop in hops.into_iter().rev() {
            let Some(ip) = address(hop.trim()) else { break };
            client = ip;
            if !self.has(ip) {
                break;
            }
        }
        SocketAddr::new(client, 0)
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse().or_else(|_| hop.parse().map(|address: SocketAddr| address.ip()));
    ip.ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_who_our_own_proxies_say() {
        let proxies = TrustedProxies::parse(["10.0.0.0/8", "127.0.0.1", "fd00::/8"]).unwrap();
        for (peer, lines, client) in [
            ("203.0.113.9:5", &[][..], "203.0.113.9"),
            // Not our proxy: what it says means nothing.
            ("203.0.113.9:5", &["1.1.1.1"], "203.0.113.9"),
            ("127.0.0.1:5", &["203.0.113.9"], "203.0.113.9"),
            ("[::ffff:127.0.0.1]:5", &["203.0.113.9"], "203.0.113.9"),
            ("10.1.1.1:5", &["1.1.1.1, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
            ("10.1.1.1:5", &["1.1.1.1", "203.0.113.9", "10.9.9.9"], "203.0.113.9"),
            ("[fd00::1]:5", &["2001:db8::7"], "2001:db8::7"),
            ("10.1.1.1:5", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.1.1.1:5", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.1.1.1:5", &["203.0.113.9:4711"], "203.0.113.9"),
            // Nothing that can be read: the last hop that could.
            ("10.1.1.1:5", &["unknown"], "10.1.1.1"),
            ("10.1.1.1:5", &["203.0.113.9, evil, 10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1:5", &[""], "10.1.1.1"),
            ("10.1.1.1:5", &[], "10.1.1.1"),
            ("10.1.1.1:5", &["10.2.2.2"], "10.2.2.2"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let found = proxies.client(peer.parse().unwrap(), &headers).ip().to_canonical();
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
        assert_eq!(TrustedProxies::parse(["10.0.0.0/33"]), Err("10.0.0.0/33".to_owned()));
        assert_eq!(TrustedProxies::parse(["*"]), Err("*".to_owned()));
    }
}
