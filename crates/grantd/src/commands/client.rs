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
        Client::Show { client_id, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            let known = v1::GetClientRequest { client_id: client_id.clone(), ..Default::default() };
            let found = admin.tokens.get_client(known).await.map_err(told(format!("cannot show {client_id}")))?;
            show(found.into_inner());
            Ok(())
        }
        Client::Remove { client_id, target } => {
            let mut admin = Admin::connect(&target.load()?, Store::MustExist).await?;
            let what = format!("cannot remove {client_id}");
            // Deleting one that is not there is fine for a program; a person has mistyped.
            let known = v1::GetClientRequest { client_id: client_id.clone(), ..Default::default() };
            admin.tokens.get_client(known).await.map_err(told(what.clone()))?;
            let request = v1::DeleteClientRequest {
                request_id: request_id()?,
                client_id: client_id.clone(),
                ..Default::default()
            };
            admin.tokens.delete_client(request).await.map_err(told(what))?;
            terminal::say(&format!("Removed {client_id}; its grants have ended."));
            Ok(())
        }
    }
}

/// Everything in it but id and times is the client's own claim.
fn show(client: v1::Client) {
    let metadata = client.metadata.unwrap_or_default();
    let rows = [
        ("client_id", client.client_id),
        ("registered at", format!("{} (Unix seconds)", client.client_id_issued_at)),
        ("expires in", format!("{}d", client.expires_in / 86_400)),
        ("client_name", metadata.client_name),
        ("redirect_uris", metadata.redirect_uris.join(" ")),
        ("token_endpoint_auth_method", metadata.token_endpoint_auth_method),
        ("grant_types", metadata.grant_types.join(" ")),
        ("scope", metadata.scope),
        ("client_uri", metadata.client_uri),
        ("contacts", metadata.contacts.join(" ")),
        ("software", format!("{} {}", metadata.software_id, metadata.software_version)),
    ];
    terminal::say(&terminal::facts(rows));
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
