//! SMTP, spoken step by step, so that it is known whether the server had the letter when something went wrong.

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

/// How long we wait for the server to say good-bye; it has the letter by then.
const QUIT_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) struct SmtpClient {
    config: SmtpConfig,
    /// Whose word is taken for the server's name: of these, or of the public authorities where there are none.
    authorities: Vec<Certificate>,
}

impl SmtpClient {
    /// The error is what is wrong with the file of authorities.
    pub(super) fn new(config: SmtpConfig) -> Result<Self, String> {
        let found = config.ca.as_deref().map(authority::load_pem_certificates).transpose()?.unwrap_or_default();
        let found = found.iter().map(|one| Certificate::from_der(one.to_vec()));
        let authorities = found.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Self { config, authorities })
    }

    /// The server, who we are there, and whose name the letters bear.
    pub(super) fn account(&self) -> String {
        let SmtpConfig { host, username, from, .. } = &self.config;
        let who = username.as_deref().map(|username| format!(" as {username}")).unwrap_or_default();
        format!("smtp at {host}:{}{who}, from {}", self.config.port(), from.0)
    }

    /// Sends the letter and answers with the server's words.
    pub(super) async fn send(&self, letter: &ComposedEmail<'_>, id: &str, now: Time) -> Result<String, ToolError> {
        let date = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.as_ms()).unwrap_or(0));
        let message = letter.message(&self.config.from.0, id, date);
        let message = message.map_err(|reason| ToolError::permanent(code::INVALID_PARAMETERS, reason))?;
        reach_tracker::mark_reached();
        let mut connection = self.connect().await.map_err(|error| self.connect_failure(&error))?;
        let answer = connection.send(message.envelope(), &message.formatted()).await;
        let answer = answer.map_err(|error| self.send_failure(&error))?;
        // The letter is accepted: what happens to the connection now changes nothing.
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

    /// Nothing of the letter was said yet.
    fn connect_failure(&self, error: &Error) -> ToolError {
        let message = format!("the mail server {}:{}: {error}", self.config.host, self.config.port());
        if error.is_permanent() {
            return ToolError::permanent(code::MESSAGE_REJECTED, message);
        }
        ToolError::transient(code::SERVICE_UNAVAILABLE, message)
    }

    /// An answer of the server is certain; silence is not.
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
