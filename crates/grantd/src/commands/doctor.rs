//! `grantd doctor`: plays a client against a running deployment, and says what would break which client.
//!
//! Standard output is the report alone, as text or as JSON; what a person is asked to do goes to standard error. It needs
//! no configuration, and the deployment need not be a grantd.

use std::time::Duration;

use grantd_doctor::{Doctor, Options, SetUpError};

use crate::{
    cli,
    error::{Error, chain},
    terminal,
};

/// How long a person may take to sign in.
const SIGN_IN: Duration = Duration::from_secs(300);

/// Looks, and reports. It is a failure when something breaks a client, so that a script can tell.
pub(crate) async fn run(command: cli::Doctor) -> Result<(), Error> {
    let mut options = Options::new(command.url);
    options.timeout = Duration::from_secs(command.timeout);
    options.ca_file = command.ca_file;
    if let Some(document) = command.client_document {
        options.client_document = document;
    }
    let mut doctor = Doctor::new(options).await.map_err(|error| match error {
        SetUpError::Url(_) | SetUpError::Authority(..) => Error::Usage(chain(&error)),
        SetUpError::Tls(_) | SetUpError::Listen(_) | SetUpError::Random => Error::because("cannot begin")(error),
    })?;
    let open = |address: &url::Url| {
        terminal::complain(&format!("Open this address and sign in (within five minutes):\n\n  {address}\n"));
    };
    // Whoever interrupts it hears what was found until then, and its registration is deleted all the same.
    let has_signed_in = tokio::select! {
        has_signed_in = async {
            doctor.look().await;
            !command.sign_in || doctor.sign_in(open, SIGN_IN).await
        } => Some(has_signed_in),
        _ = tokio::signal::ctrl_c() => None,
    };
    let report = doctor.finish().await;
    if command.json {
        let json = serde_json::to_string_pretty(&report).map_err(Error::because("cannot write the report as JSON"))?;
        terminal::say(&json);
    } else {
        terminal::say(&report.to_string());
    }
    if report.breaks {
        return Err(Error::failed("what was found there breaks clients"));
    }
    match has_signed_in {
        Some(true) => Ok(()),
        Some(false) => {
            Err(Error::failed("nobody has signed in, so codes, tokens, refresh and revocation were not looked at"))
        }
        None => Err(Error::failed("interrupted before everything was looked at")),
    }
}
