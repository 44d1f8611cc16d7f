//! Settings of e-mail.

use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// Without a server or a service, e-mail goes into the outbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmailConfig {
    /// Which of those below sends; needed only where both are there.
    pub provider: Option<EmailProvider>,
    pub smtp: Option<SmtpConfig>,
    pub sendgrid: Option<SendGridConfig>,
}

/// Who sends.
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
    /// Where the API is, if not at SendGrid itself: `https://api.eu.sendgrid.com`, a proxy.
    #[serde(default)]
    pub base_url: Option<BaseUrl>,
}

/// Who sends, with its settings.
pub(super) enum EmailTransport<'c> {
    Outbox,
    Smtp(&'c SmtpConfig),
    SendGrid(&'c SendGridConfig),
}

impl EmailConfig {
    /// Reads relative paths as within this folder.
    pub(crate) fn within(&mut self, folder: &Path) {
        if let Some(ca) = self.smtp.as_mut().and_then(|smtp| smtp.ca.as_mut()) {
            *ca = folder.join(&*ca);
        }
    }

    /// The error is the reason nobody can be chosen.
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

/// A mail server that takes our mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    pub host: String,
    /// 465 with `implicit`, 587 with `starttls`, 25 with `none`, unless told.
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
    /// What we call ourselves to the server; the machine's name unless told.
    #[serde(default)]
    pub hello: Option<String>,
    /// A PEM file with the authorities that the server's certificate is checked against, in place of the public ones.
    /// Relative to the project's folder.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// How the connection is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// TLS from the first byte.
    Implicit,
    /// Begins in the clear and must become TLS before anything is said.
    #[default]
    #[serde(rename = "starttls")]
    Upgrade,
    /// In the clear: only for a server on this machine or network.
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

/// A mail address, perhaps with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailSender(pub(super) Mailbox);

impl<'de> Deserialize<'de> for EmailSender {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mailbox = text.parse().map(Self);
        mailbox.map_err(|_| D::Error::custom(format!("`{text}` is no sender; write `Name <name@example.com>`")))
    }
}
