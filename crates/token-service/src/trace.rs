//! What the spans of a flow's steps say of whose step it is: `grantd.client.id`, `grantd.grant.id`, and `grantd.flow.id`, by
//! which whoever runs grantd follows one client from its first request to the step that fails.
//!
//! None of them is a secret.

use grantd_core::{RecordKey, records::Client};
use grantd_oauth_types::{ClientId, GrantId};
use tracing::Span;

use crate::Service;

/// The step is of whoever says so: also of a client that is not let in.
pub(crate) fn client_id(id: &ClientId) {
    Span::current().record("grantd.client.id", id.as_str());
}

/// The step is this client's.
pub(crate) fn client(client: &Client) {
    let span = Span::current();
    span.record("grantd.client.id", client.id.as_str());
    if !client.flow_id.is_empty() {
        span.record("grantd.flow.id", client.flow_id.as_str());
    }
}

/// The step is about this grant.
pub(crate) fn grant(id: GrantId) {
    Span::current().record("grantd.grant.id", tracing::field::display(id));
}

impl Service {
    /// As [`client`], where the step itself needs nothing of the client. Nothing is asked when nobody looks, and a failure to
    /// find out is not the step's.
    pub(crate) async fn trace_client(&self, id: &ClientId) {
        if Span::current().is_disabled() {
            return;
        }
        let key = RecordKey::Client(id.clone());
        if let Ok(loaded) = self.load(vec![key.clone()]).await
            && let Ok(Some(found)) = loaded.record::<Client>(&key)
        {
            client(&found);
        }
    }
}
