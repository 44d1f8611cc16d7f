//! Letters that Baton writes itself, by the provider that a tenant's `send_email` goes by. The outbox delivers to nobody, so
//! it counts as no provider here.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::tool::Class;
use baton_ports::clock::Clock;
use baton_ports::mail::{Letter as Own, Mail, NotSent};

use super::TIMEOUT;
use super::config::Chosen;
use super::letter::Letter;
use super::sendgrid::{self, SendGrid};
use super::smtp::Smtp;
use super::template::Templates;
use crate::by_tenant::ByTenant;
use crate::config::{Config as Settings, Secret};
use crate::error::Error;
use crate::failure::Failure;
use crate::outbound::Outbound;

/// Sends them.
pub struct Mailer {
    by: ByTenant<Arc<By>>,
    clock: Arc<dyn Clock>,
}

enum By {
    Nobody(String),
    Smtp(Smtp),
    SendGrid(Box<SendGrid>),
}

impl Mailer {
    /// # Errors
    /// Settings of e-mail by which nobody can be chosen.
    pub fn new(config: &Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let outbound = Arc::new(Outbound::new(config.outbound.clone()));
        let templates = Arc::new(Templates::read(config)?);
        let settings = ByTenant::read(config, config.email.clone(), |tenant| tenant.email.clone());
        let by = settings.map(|place, settings| {
            let wrong = |reason| Error::Setting { place: "email", reason };
            Ok::<_, Error>(Arc::new(match settings.chosen().map_err(wrong)? {
                Chosen::Outbox => By::Nobody(format!(
                    "the tenant's mail goes into the outbox, which delivers to nobody: set `[{place}.email.smtp]` or \
                     `[{place}.email.sendgrid]`"
                )),
                Chosen::Smtp(smtp) => By::Smtp(Smtp::new(smtp.clone()).map_err(wrong)?),
                Chosen::SendGrid(account) => {
                    let setting = || format!("{place}.email.sendgrid.api_key");
                    let base = sendgrid::base(account);
                    match Secret::needed(account.api_key.as_ref(), setting, &config.secrets, &base) {
                        Ok(key) => {
                            By::SendGrid(Box::new(SendGrid::new(account, key, templates.clone(), outbound.clone())))
                        }
                        Err(setting) => By::Nobody(format!("the setting `{setting}` is missing")),
                    }
                }
            }))
        })?;
        Ok(Self { by, clock })
    }

    async fn attempt(&self, by: &By, letter: &Letter<'_>, id: &str) -> Result<(), NotSent> {
        let sent = match by {
            By::Nobody(why) => return Err(NotSent::NoProvider(why.clone())),
            By::Smtp(smtp) => smtp.send(letter, id, self.clock.now()).await.map(drop),
            By::SendGrid(sendgrid) => sendgrid.send(letter, id, Class::Once).await.map(drop),
        };
        sent.map_err(|failure| match failure {
            Failure::NotDone { fault, retryable: false, .. } => NotSent::Refused(fault.message),
            Failure::NotDone { fault, .. } | Failure::Unknown { fault } | Failure::Asks { fault, .. } => {
                NotSent::Failed(fault.message)
            }
        })
    }
}

#[async_trait]
impl Mail for Mailer {
    async fn send(&self, tenant: &TenantId, letter: &Own) -> Result<(), NotSent> {
        let by = self.by.of(tenant).clone();
        if let By::Nobody(why) = &*by {
            return Err(NotSent::NoProvider(why.clone()));
        }
        let to = letter.to.parse().map_err(|_| NotSent::Refused("the address is no e-mail address".to_owned()))?;
        let id = &letter.id;
        let letter = Letter {
            to: vec![to],
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: None,
            subject: Cow::Borrowed(&letter.subject),
            body: Some(Cow::Borrowed(&letter.text)),
            html: None,
            attachments: Vec::new(),
        };
        let attempt = tokio::time::timeout(TIMEOUT, self.attempt(&by, &letter, id));
        attempt.await.unwrap_or_else(|_elapsed| {
            Err(NotSent::Failed(format!("the mail provider did not answer within {} s", TIMEOUT.as_secs())))
        })
    }
}
