//! Settings of e-mail.

use lettre::message::Mailbox;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::config::Secret;

/// Without a server, e-mail goes into the outbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub smtp: Option<SmtpConfig>,
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
    pub tls: Tls,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// The sender: `Clinic <hello@clinic.example>`.
    pub from: Sender,
    /// What we call ourselves to the server; the machine's name unless told.
    #[serde(default)]
    pub hello: Option<String>,
}

/// How the connection is kept private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
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
            Tls::Implicit => 465,
            Tls::Upgrade => 587,
            Tls::None => 25,
        })
    }
}

/// A mail address, perhaps with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Sender(pub(super) Mailbox);

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mailbox = text.parse().map(Self);
        mailbox.map_err(|_| D::Error::custom(format!("`{text}` is no sender; write `Name <name@example.com>`")))
    }
}
