//! Redirects from the authorization endpoint to the client.

use url::Url;

use crate::{Answer, Observation};

/// Where an answer sends the browser, if that is the redirect URI of the request.
pub(crate) fn to_client(observation: &Observation, answer: &Answer) -> Option<Url> {
    let sent = Url::parse(&param(observation.url.as_str(), "redirect_uri")?).ok()?;
    let to = observation.url.join(answer.location()?).ok()?;
    let is_there = (to.scheme(), to.host_str(), to.port_or_known_default(), to.path())
        == (sent.scheme(), sent.host_str(), sent.port_or_known_default(), sent.path());
    is_there.then_some(to)
}

/// A parameter of an address, relative ones included.
pub(crate) fn param(address: &str, name: &str) -> Option<String> {
    let query = address.split_once('?')?.1.split('#').next()?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
