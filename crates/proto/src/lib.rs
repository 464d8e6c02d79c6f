//! Generated Rust for `proto/grantd/v1`, and the two things every caller of it needs: one transport type, and errors
//! with a reason.
//!
//! * [`v1`] is the generated code: messages, clients, servers. A message that holds a secret shows its name only.
//! * [`Transport`] hides whether the service is in this process or behind a socket, so the facade and the gate are
//!   written once and need no generic parameters.
//! * [`error`] maps between a gRPC status and the OAuth error code it carries as `google.rpc.ErrorInfo`.
//!
//! What the messages mean is documented in the `.proto` files, which other teams read first.

use tower::util::BoxCloneSyncService;

pub mod error;
#[cfg(test)]
mod redaction;

/// Messages, clients and servers of package `grantd.v1`.
#[expect(missing_docs, reason = "generated; documented in the .proto files")]
#[allow(clippy::all, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("grantd.v1");
    // `Debug` of the messages that hold secrets.
    include!(concat!(env!("OUT_DIR"), "/grantd_debug.rs"));
}

/// The encoded `FileDescriptorSet` of the contract, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/grantd_descriptor.bin"));

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Any error of a [`Transport`]. A type of its own: with a bare `BoxError` the compiler cannot see that the clients'
/// futures are `Send` ("implementation of `From` is not general enough", rust-lang/rust#110338).
#[derive(Debug)]
pub struct TransportError(pub BoxError);

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the gRPC call was not carried")
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl From<BoxError> for TransportError {
    fn from(error: BoxError) -> Self {
        Self(error)
    }
}

impl From<tonic::transport::Error> for TransportError {
    fn from(error: tonic::transport::Error) -> Self {
        Self(error.into())
    }
}

impl From<std::convert::Infallible> for TransportError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// What carries a gRPC call: a channel to another process, or the service value of this one. Cheap to clone.
pub type Transport =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, TransportError>;

/// The client of `TokenService` that facade, gate and CLI use.
pub type TokenServiceClient = v1::token_service_client::TokenServiceClient<Transport>;

/// The client of `IdentityService` that facade and CLI use.
pub type IdentityServiceClient = v1::identity_service_client::IdentityServiceClient<Transport>;

/// Who makes a call, put into the request's extensions by whoever authenticated it. A server without it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key or certificate, for logs.
    pub name: String,
    /// What it may call.
    pub role: Role,
}

/// What a caller may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// VerifyToken, IntrospectToken, WatchRevocations: a gate.
    Verify,
    /// The OAuth flow: a facade.
    Flow,
    /// Clients, grants and users: the operator.
    Admin,
}
