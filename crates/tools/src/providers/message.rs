//! `send_whatsapp` and `send_sms`: short messages to a phone, by Twilio where it is configured, else into the outbox.

mod config;
mod twilio;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::{Class, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::{Value, json};

use self::twilio::{Sender, Twilio};
use super::outbox;
use crate::bound::{Account, Bound};
use crate::by_tenant::ByTenant;
use crate::catalogue::{Action, Entry, Offered, Performer, Risk};
use crate::config::{self as settings, Bound as Sealed, Secret};
use crate::error::Error;
use crate::failure::Failure;
use crate::keyed::Act;
use crate::outbound::Outbound;
use crate::rate::Rate;
use crate::request::Request;
use crate::tool::Tool;

pub use config::{Config, TwilioConfig};

const WHATSAPP: &str = "whatsapp";
/// Bytes of one message; WhatsApp takes 4,096 characters.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// A channel to a phone.
struct Channel {
    tool: &'static str,
    name: &'static str,
    description: &'static str,
    timeout: Duration,
    rate: Rate,
    offered: &'static [Offered],
}

const OUTBOX: Offered = Offered::free("outbox", &[]);
const CHANNELS: &[Channel] = &[
    Channel {
        tool: "send_whatsapp",
        name: WHATSAPP,
        description: "Sends a WhatsApp message to a phone",
        timeout: Duration::from_secs(5),
        rate: Rate::per_minute(10),
        offered: &[
            OUTBOX,
            Offered::free(
                twilio::NAME,
                &["message.twilio.account_sid", "message.twilio.auth_token", "message.twilio.whatsapp_from"],
            )
            .at(TWILIO_USD),
        ],
    },
    Channel {
        tool: "send_sms",
        name: "sms",
        description: "Sends a text message to a phone",
        timeout: Duration::from_secs(30),
        rate: Rate::Free,
        offered: &[
            OUTBOX,
            Offered::free(
                twilio::NAME,
                &["message.twilio.account_sid", "message.twilio.auth_token", "message.twilio.from"],
            )
            .at(TWILIO_USD),
        ],
    },
];

/// Twilio's price of a message, in US dollars.
const TWILIO_USD: f64 = 0.005;

pub(crate) fn entries(
    config: &settings::Config,
    records: &Arc<dyn Records>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<Outbound>,
) -> Result<Vec<Entry>, Error> {
    let settings = ByTenant::read(config, config.message.clone(), |tenant| tenant.message.clone());
    let entry = |channel: &'static Channel| {
        let performers = settings.map(|place, settings| {
            settings.check().map_err(|reason| Error::Setting { place: "message", reason })?;
            Ok::<_, Error>(match settings.twilio() {
                None => {
                    let tool = ToOutbox { channel: channel.name, records: records.clone(), clock: clock.clone() };
                    let tool = Bound::to(Arc::new(tool), Account::Own, records, clock);
                    Performer::new("outbox", Class::Keyed, tool)
                }
                Some(twilio) => {
                    let to = |tool, account| Bound::to(tool, account, records, clock);
                    by_twilio(channel, twilio, &format!("{place}.message.twilio"), &config.secrets, outbound, &to)
                }
            })
        })?;
        let action = Action::new(facts(channel), "notification", Risk::Medium);
        Ok(Entry::by(channel.tool, "communication", performers, action)
            .offered_by(channel.offered)
            .at_most(channel.rate))
    };
    CHANNELS.iter().map(entry).collect()
}

fn by_twilio(
    channel: &'static Channel,
    config: &TwilioConfig,
    place: &str,
    secrets: &BTreeMap<String, Sealed>,
    outbound: &Arc<Outbound>,
    to: &dyn Fn(Arc<dyn Tool>, Account) -> Arc<dyn Tool>,
) -> Performer {
    let lacking = |setting: String| Performer::lacking(twilio::NAME, Class::Verify, setting);
    if config.account_sid.is_empty() {
        return lacking(format!("{place}.account_sid"));
    }
    let password = match Secret::needed(
        config.auth_token.as_ref(),
        || format!("{place}.auth_token"),
        secrets,
        &twilio::base(config),
    ) {
        Ok(password) => password,
        Err(setting) => return lacking(setting),
    };
    let sender = if channel.name == WHATSAPP {
        let number = config.whatsapp_from.as_ref();
        number.map(|number| Sender::Number(format!("whatsapp:{}", number.trim_start_matches("whatsapp:"))))
    } else {
        let service = config.messaging_service_sid.clone().map(Sender::Service);
        service.or_else(|| config.from.clone().map(Sender::Number))
    };
    let Some(sender) = sender else {
        return lacking(format!("{place}.{}", if channel.name == WHATSAPP { "whatsapp_from" } else { "from" }));
    };
    let tool = Twilio::new(config, password, channel.name, sender, outbound.clone());
    let account = Account::named(twilio::NAME, &twilio::base(config), &config.account_sid);
    Performer::new(twilio::NAME, Class::Verify, to(Arc::new(tool), account)).costing(Usd::from_f64(TWILIO_USD))
}

fn facts(channel: &Channel) -> Facts {
    Facts {
        description: channel.description.to_owned(),
        irreversible: Some("a message that was read cannot be unread; send another that corrects it".to_owned()),
        output_fields: ["message_id", "id", "status", "delivered", "channel", "to", "provider"]
            .map(str::to_owned)
            .into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["to", "message"],
            "properties": {
                "to": {
                    "type": "string", "pattern": "^\\+?[0-9 ()./-]{5,30}$",
                    "description": "The phone number, best with its country: +34 612 345 678",
                },
                "message": {"type": "string", "minLength": 1, "maxLength": MESSAGE_BYTES_MAX},
                "user_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        // Of the provider that can promise least: `Entry::by`.
        ..Facts::new(Class::Keyed, channel.timeout)
    }
}

struct ToOutbox {
    channel: &'static str,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for ToOutbox {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let message = (*request.call.arguments).clone();
        outbox::put(&*self.records, &*self.clock, request, self.channel, message).await
    }

    /// Asked where another tenant's provider makes the tool `verify`: the key's row tells for certain.
    async fn look_up(&self, request: &Request) -> Result<Value, Failure> {
        Act::new(&*self.records, request).look_up().await
    }
}

#[cfg(test)]
mod tests;
