//! SMTP, step by step, so that after a failure it is known whether the server had accepted the e-mail.

use std::time::{Duration, SystemTime};

use baton_core::fault::Fault;
use baton_core::time::Time;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use super::composed_email::ComposedEmail;
use super::config::{SmtpConfig, SmtpTls};
use crate::authority;
use crate::code;
use crate::reach_tracker;
use crate::tool_error::ToolError;

/// Time-out of the QUIT exchange; the server has accepted the e-mail by then.
const QUIT_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) struct SmtpClient {
    config: SmtpConfig,
    /// Certificate authorities that verify the server; if empty, the public ones.
    authorities: Vec<Certificate>,
}

impl SmtpClient {
    /// Creates the transport. The error states what is wrong with the file of authorities.
    pub(super) fn new(config: SmtpConfig) -> Result<Self, String> {
        let found = config.ca.as_deref().map(authority::load_pem_certificates).transpose()?.unwrap_or_default();
        let found = found.iter().map(|one| Certificate::from_der(one.to_vec()));
        let authorities = found.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Self { config, authorities })
    }

    /// The server, the account there, and the sender.
    pub(super) fn account(&self) -> String {
        let SmtpConfig { host, username, from, .. } = &self.config;
        let who = username.as_deref().map(|username| format!(" as {username}")).unwrap_or_default();
        format!("smtp at {host}:{}{who}, from {}", self.config.port(), from.0)
    }

    /// Sends the e-mail and returns the server's response.
    pub(super) async fn send(&self, letter: &ComposedEmail<'_>, id: &str, now: Time) -> Result<String, ToolError> {
        let date = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.as_ms()).unwrap_or(0));
        let message = letter.message(&self.config.from.0, id, date);
        let message = message.map_err(|reason| ToolError::permanent(code::INVALID_PARAMETERS, reason))?;
        reach_tracker::mark_reached();
        let mut connection = self.connect().await.map_err(|error| self.connect_failure(&error))?;
        let answer = connection.send(message.envelope(), &message.formatted()).await;
        let answer = answer.map_err(|error| self.send_failure(&error))?;
        // The e-mail is accepted; what happens to the connection now changes nothing.
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(answer.message().collect::<Vec<_>>().join(" "))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let SmtpConfig { host, tls, username, password, .. } = &self.config;
        let hello = self.config.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        let first = if *tls == SmtpTls::Implicit { Some(self.parameters()?) } else { None };
        let server = (host.as_str(), self.config.port());
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, None, &hello, first, None).await?;
        if *tls == SmtpTls::Upgrade {
            connection.starttls(self.parameters()?, &hello).await?;
        }
        if let (Some(username), Some(password)) = (username, password) {
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        Ok(connection)
    }

    fn parameters(&self) -> Result<TlsParameters, Error> {
        let mut parameters = TlsParameters::builder(self.config.host.clone());
        if !self.authorities.is_empty() {
            parameters = parameters.certificate_store(CertificateStore::None);
        }
        for authority in &self.authorities {
            parameters = parameters.add_root_certificate(authority.clone());
        }
        parameters.build()
    }

    /// Maps a failure to connect: nothing of the e-mail was sent yet.
    fn connect_failure(&self, error: &Error) -> ToolError {
        let message = format!("the mail server {}:{}: {error}", self.config.host, self.config.port());
        if error.is_permanent() {
            return ToolError::permanent(code::MESSAGE_REJECTED, message);
        }
        ToolError::transient(code::SERVICE_UNAVAILABLE, message)
    }

    /// Maps a failure to send: a response of the server is certain, a missing one is not.
    fn send_failure(&self, error: &Error) -> ToolError {
        let message = format!("the mail server {}:{}: {error}", self.config.host, self.config.port());
        if error.is_permanent() {
            return ToolError::permanent(code::MESSAGE_REJECTED, message);
        }
        if error.is_transient() {
            return ToolError::transient(code::SERVICE_UNAVAILABLE, message);
        }
        ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) }
    }
}
