//! Settings of e-mail.

use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The settings. Without a server or a service, e-mail goes into the outbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmailConfig {
    /// Which of the providers below sends; required only if both are configured.
    pub provider: Option<EmailProvider>,
    pub smtp: Option<SmtpConfig>,
    pub sendgrid: Option<SendGridConfig>,
}

/// The provider that sends e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailProvider {
    Outbox,
    Smtp,
    SendGrid,
}

/// An account at SendGrid.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendGridConfig {
    #[serde(default)]
    pub api_key: Option<SecretString>,
    /// The sender, verified at SendGrid: `ClinicProject <hello@clinic.example>`.
    pub from: EmailSender,
    /// The address of the API, if not SendGrid's own: `https://api.eu.sendgrid.com`, a proxy.
    #[serde(default)]
    pub base_url: Option<BaseUrl>,
}

/// The chosen provider with its settings.
pub(super) enum EmailTransport<'c> {
    Outbox,
    Smtp(&'c SmtpConfig),
    SendGrid(&'c SendGridConfig),
}

impl EmailConfig {
    /// Resolves relative paths against this folder.
    pub(crate) fn within(&mut self, folder: &Path) {
        if let Some(ca) = self.smtp.as_mut().and_then(|smtp| smtp.ca.as_mut()) {
            *ca = folder.join(&*ca);
        }
    }

    /// Chooses the provider. The error states why none can be chosen.
    pub(super) fn transport(&self) -> Result<EmailTransport<'_>, String> {
        match (self.provider, &self.smtp, &self.sendgrid) {
            (None | Some(EmailProvider::Smtp), Some(smtp), None) | (Some(EmailProvider::Smtp), Some(smtp), Some(_)) => {
                Ok(EmailTransport::Smtp(smtp))
            }
            (None | Some(EmailProvider::SendGrid), None, Some(sendgrid))
            | (Some(EmailProvider::SendGrid), Some(_), Some(sendgrid)) => Ok(EmailTransport::SendGrid(sendgrid)),
            (Some(EmailProvider::Outbox), _, _) | (None, None, None) => Ok(EmailTransport::Outbox),
            (None, Some(_), Some(_)) => {
                Err("`smtp` and `sendgrid` are both there; `provider` says which of them sends".to_owned())
            }
            (Some(EmailProvider::Smtp), None, _) => Err("`provider` is `smtp`, and there is no `smtp`".to_owned()),
            (Some(EmailProvider::SendGrid), _, None) => {
                Err("`provider` is `sendgrid`, and there is no `sendgrid`".to_owned())
            }
        }
    }
}

/// A mail server that accepts e-mail from Baton.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    pub host: String,
    /// Default: 465 with `implicit`, 587 with `starttls`, 25 with `none`.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: SmtpTls,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<SecretString>,
    /// The sender: `ClinicProject <hello@clinic.example>`.
    pub from: EmailSender,
    /// The host name sent in the greeting. Default: the machine's name.
    #[serde(default)]
    pub hello: Option<String>,
    /// A PEM file with the certificate authorities that verify the server's certificate, instead of the public ones.
    /// Relative to the project's folder.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// TLS from the first byte.
    Implicit,
    /// Starts in plain text and must be upgraded to TLS before anything is sent.
    #[default]
    #[serde(rename = "starttls")]
    Upgrade,
    /// Plain text: only for a server on this machine or network.
    None,
}

impl SmtpConfig {
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            SmtpTls::Implicit => 465,
            SmtpTls::Upgrade => 587,
            SmtpTls::None => 25,
        })
    }
}

/// A mail address, optionally with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailSender(pub(super) Mailbox);

impl<'de> Deserialize<'de> for EmailSender {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mailbox = text.parse().map(Self);
        mailbox.map_err(|_| D::Error::custom(format!("`{text}` is no sender; write `Name <name@example.com>`")))
    }
}
