//! How long gRPC calls take that are served, by methods that the contract names.

use grantd_proto::FILE_DESCRIPTOR_SET;
use grantd_telemetry::GrpcServerMetrics;
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The layer for a listener, or for calls within the process.
pub(crate) fn layer() -> GrpcServerMetrics {
    GrpcServerMetrics::new(methods())
}

/// Every method that is served, as `package.Service/Method`: those of the contract, and gRPC's own.
fn methods() -> Vec<String> {
    let of = |encoded: &[u8]| FileDescriptorSet::decode(encoded).unwrap_or_default().file;
    let files = of(FILE_DESCRIPTOR_SET).into_iter().chain(of(tonic_health::pb::FILE_DESCRIPTOR_SET));
    let mut methods = Vec::new();
    for file in files {
        for service in &file.service {
            let full = |method: &str| format!("{}.{}/{method}", file.package(), service.name());
            methods.extend(service.method.iter().map(|method| full(method.name())));
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_contract_is_known() {
        let methods = methods();
        for name in [
            "grantd.v1.TokenService/IssueToken",
            "grantd.v1.TokenService/WatchRevocations",
            "grantd.v1.IdentityService/SignIn",
            "grpc.health.v1.Health/Check",
        ] {
            assert!(methods.iter().any(|method| method == name), "{name}: {methods:?}");
        }
    }
}
