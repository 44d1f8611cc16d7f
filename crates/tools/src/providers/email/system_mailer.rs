//! E-mails that Baton sends itself, through the provider of a tenant's `send_email`. The outbox delivers nothing, so
//! it does not count as a provider here.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::tool::EffectClass;
use baton_ports::clock::Clock;
use baton_ports::mail::{MailError, MailMessage, MailSender};

use super::TIMEOUT;
use super::composed_email::ComposedEmail;
use super::config::EmailTransport;
use super::sendgrid::{self, SendGridClient};
use super::smtp::SmtpClient;
use super::template::EmailTemplates;
use crate::by_tenant::ByTenant;
use crate::config::{SecretString, ToolsConfig};
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::tool_error::ToolError;

/// A sender of such e-mails.
pub struct SystemMailer {
    transports: ByTenant<Arc<MailTransport>>,
    clock: Arc<dyn Clock>,
}

enum MailTransport {
    Nobody(String),
    Smtp(SmtpClient),
    SendGrid(Box<SendGridClient>),
}

impl SystemMailer {
    /// # Errors
    /// The e-mail settings choose no valid provider.
    pub fn new(config: &ToolsConfig, clock: Arc<dyn Clock>) -> Result<Self, ToolSetupError> {
        let outbound = Arc::new(OutboundClient::new(config.outbound.clone()));
        let templates = Arc::new(EmailTemplates::read(config)?);
        let settings = ByTenant::read(config, config.email.clone(), |tenant| tenant.email.clone());
        let by = settings.try_map(|place, settings| {
            let wrong = |reason| ToolSetupError::Setting { place: "email", reason };
            Ok::<_, ToolSetupError>(Arc::new(match settings.transport().map_err(wrong)? {
                EmailTransport::Outbox => MailTransport::Nobody(format!(
                    "the tenant's mail goes into the outbox, which delivers to nobody: set `[{place}.email.smtp]` or \
                     `[{place}.email.sendgrid]`"
                )),
                EmailTransport::Smtp(smtp) => MailTransport::Smtp(SmtpClient::new(smtp.clone()).map_err(wrong)?),
                EmailTransport::SendGrid(account) => {
                    let setting = || format!("{place}.email.sendgrid.api_key");
                    let base = sendgrid::base(account);
                    match SecretString::required(account.api_key.as_ref(), setting, &config.secrets, &base) {
                        Ok(key) => MailTransport::SendGrid(Box::new(SendGridClient::new(
                            account,
                            key,
                            templates.clone(),
                            outbound.clone(),
                        ))),
                        Err(setting) => MailTransport::Nobody(format!("the setting `{setting}` is missing")),
                    }
                }
            }))
        })?;
        Ok(Self { transports: by, clock })
    }

    async fn attempt(&self, by: &MailTransport, letter: &ComposedEmail<'_>, id: &str) -> Result<(), MailError> {
        let sent = match by {
            MailTransport::Nobody(why) => return Err(MailError::NoProvider(why.clone())),
            MailTransport::Smtp(smtp) => smtp.send(letter, id, self.clock.now()).await.map(drop),
            MailTransport::SendGrid(sendgrid) => sendgrid.send(letter, id, EffectClass::Once).await.map(drop),
        };
        sent.map_err(|failure| match failure {
            ToolError::NotDone { fault, retryable: false, .. } => MailError::Rejected(fault.message),
            ToolError::NotDone { fault, .. } | ToolError::Unknown { fault } | ToolError::NeedsInput { fault, .. } => {
                MailError::Failed(fault.message)
            }
        })
    }
}

#[async_trait]
impl MailSender for SystemMailer {
    async fn send(&self, tenant: &TenantId, letter: &MailMessage) -> Result<(), MailError> {
        let by = self.transports.of(tenant).clone();
        if let MailTransport::Nobody(why) = &*by {
            return Err(MailError::NoProvider(why.clone()));
        }
        let to = letter.to.parse().map_err(|_| MailError::Rejected("the address is no e-mail address".to_owned()))?;
        let id = &letter.id;
        let letter = ComposedEmail {
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
            Err(MailError::Failed(format!("the mail provider did not answer within {} s", TIMEOUT.as_secs())))
        })
    }
}
