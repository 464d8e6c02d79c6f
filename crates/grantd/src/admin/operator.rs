//! What only the operator of this very process may ask: a backup of its store.

use std::path::PathBuf;

use grantd_oauth_types::OAuthErrorCode;
use grantd_proto::{
    error::{self, Word},
    v1::{BackupRequest, BackupResponse, operator_service_server::OperatorService},
};
use grantd_store_embedded::{BackupError, EmbeddedStore};
use tonic::{Code, Request, Response, Status};

/// Served on the admin socket, and nowhere else.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// The store, where it is a file of this process.
    pub(crate) embedded: Option<EmbeddedStore>,
}

#[tonic::async_trait]
impl OperatorService for Operator {
    async fn backup(&self, request: Request<BackupRequest>) -> Result<Response<BackupResponse>, Status> {
        let store = self
            .embedded
            .clone()
            .ok_or_else(|| Word::NotEmbedded.status("state is kept in Redis; back that up with its own tools"))?;
        let path = PathBuf::from(request.into_inner().path);
        if !path.is_absolute() {
            let invalid = OAuthErrorCode::InvalidRequest.as_str();
            return Err(error::status(Code::InvalidArgument, invalid, "name the file by an absolute path"));
        }
        // It reads and writes the whole store.
        let failed = |why: &str| error::status(Code::Internal, OAuthErrorCode::ServerError.as_str(), why);
        let done = tokio::task::spawn_blocking(move || store.backup(&path)).await;
        match done {
            Ok(Ok(backup)) => Ok(Response::new(BackupResponse { records: backup.records })),
            Ok(Err(error @ BackupError::Exists(_))) => Err(Word::FileExists.status(error.to_string())),
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(_) => Err(failed("the backup ended early; the log says why")),
        }
    }
}
