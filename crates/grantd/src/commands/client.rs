//! `grantd client`: the clients that have registered.

use grantd_proto::v1;

use crate::{
    admin::client::{Admin, Store, request_id, told},
    cli::Client,
    error::Error,
    terminal,
};

/// Does what was asked.
pub(crate) async fn run(command: Client) -> Result<(), Error> {
    match command {
        Client::List { target } => list(Admin::connect(&target.load()?, Store::MustExist).await?).await,
        Client::Remove { client_id, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            let what = format!("cannot remove {client_id}");
            // Deleting one that is not there is fine for a program; a person has mistyped.
            let known = v1::GetClientRequest { client_id: client_id.clone() };
            admin.tokens.get_client(known).await.map_err(told(what.clone()))?;
            let request = v1::DeleteClientRequest { request_id: request_id()?, client_id: client_id.clone() };
            admin.tokens.delete_client(request).await.map_err(told(what))?;
            terminal::say(&format!("Removed {client_id}; its grants have ended."));
            Ok(())
        }
    }
}

async fn list(mut admin: Admin) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListClientsRequest { page_size: 1000, page_token };
        let page = admin.tokens.list_clients(request).await.map_err(told("cannot list clients"))?.into_inner();
        rows.extend(page.clients.into_iter().map(|client| {
            let metadata = client.metadata.unwrap_or_default();
            let uris = metadata.redirect_uris.join(" ");
            [client.client_id, metadata.client_name, format!("{}d", client.expires_in / 86_400), uris]
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    terminal::say(&terminal::table(["CLIENT_ID", "CLAIMS TO BE", "EXPIRES IN", "REDIRECT URIS"], &rows));
    Ok(())
}
