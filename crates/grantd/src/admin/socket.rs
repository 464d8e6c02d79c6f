//! The admin socket: gRPC on `DATA_DIR/grantd.sock`, with the role `admin`, for this machine's `grantd user` and alike.
//!
//! Who may call is decided twice: the socket has mode 0600, and the kernel says who is at the other end. Only the user
//! that grantd runs as, and root, are listened to.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use grantd_proto::{Caller, Role, v1::operator_service_server::OperatorServiceServer};
use grantd_telemetry::GrpcServerTrace;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::{StreamExt as _, wrappers::UnixListenerStream};
use tonic::{service::Routes, transport::Server};

use super::operator::Operator;
use crate::{data_dir, drain::Drain, error::Error, rpc};

/// The longest path that fits into a socket address, everywhere.
const MAX_PATH: usize = 103;

/// The socket, listening. Its file goes away with it.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
    /// Whom it listens to, beside root.
    owner: u32,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens; takes the place of a socket that a killed process left behind.
pub(crate) async fn bind(path: &Path) -> Result<AdminSocket, Error> {
    let failed = || Error::because(format!("cannot listen on the admin socket {}", path.display()));
    if UnixStream::connect(path).await.is_ok() {
        return Err(Error::failed(format!(
            "another grantd is running on this data directory: it answers at {}",
            path.display()
        )));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed())?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed())?;
    let owner = data_dir::owner_of(path).map_err(failed())?;
    Ok(AdminSocket { listener, file, owner })
}

/// Refuses a path that does not fit, before anything is opened.
pub(crate) fn check_length(path: &Path) -> Result<(), String> {
    let length = path.as_os_str().len();
    if length <= MAX_PATH {
        return Ok(());
    }
    Err(format!(
        "the path of the admin socket, {}, has {length} bytes, and the system allows {MAX_PATH}; choose a shorter --data-dir",
        path.display()
    ))
}

/// Serves until the drain.
pub(crate) async fn serve(socket: AdminSocket, routes: Routes, operator: Operator, drain: Drain) {
    let AdminSocket { listener, file, owner } = socket;
    let mine = move |stream: io::Result<UnixStream>| {
        let peer = stream.as_ref().ok().and_then(|stream| stream.peer_cred().ok()).map(|peer| peer.uid());
        match (stream, peer) {
            (Ok(stream), Some(uid)) if uid == owner || uid == 0 => Some(Ok(stream)),
            (Ok(_), uid) => {
                tracing::warn!(event = "admin.refused", ?uid, "another user tried the admin socket");
                None
            }
            (Err(error), _) => Some(Err(error)),
        }
    };
    let as_admin = tower::util::MapRequestLayer::new(|mut request: http::Request<tonic::body::Body>| {
        request.extensions_mut().insert(Caller { name: "operator".to_owned(), role: Role::Admin });
        request
    });
    let server = Server::builder()
        .layer(GrpcServerTrace)
        .layer(rpc::metrics::layer())
        .layer(as_admin)
        .add_routes(routes.add_service(OperatorServiceServer::new(operator)))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener).filter_map(mine), drain.clone().begun());
    tokio::select! {
        ended = server => if let Err(error) = ended {
            tracing::error!(error = &error as &dyn std::error::Error, "the admin socket failed");
        },
        () = drain.over() => {}
    }
    drop(file);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grantd.sock");
        // What `kill -9` leaves: a socket nobody accepts on.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = bind(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind(&path).await.err().unwrap().to_string().contains("another grantd"));
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_path_is_refused_with_the_reason() {
        let error = check_length(Path::new(&"x".repeat(120))).unwrap_err();
        assert!(error.contains("shorter --data-dir"), "{error}");
    }
}
