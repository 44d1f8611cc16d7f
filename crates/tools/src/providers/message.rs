//! `send_whatsapp` and `send_sms`: short messages to a phone, through Twilio if configured, otherwise into the
//! outbox.

mod config;
mod twilio;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::{EffectClass, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::records::RecordStore;
use serde_json::{Value, json};

use self::twilio::{TwilioSender, TwilioTool};
use super::outbox;
use crate::account_binding::{AccountBoundTool, ProviderAccount};
use crate::by_tenant::ByTenant;
use crate::catalogue::{ActionSpec, ProviderOption, ToolEntry, ToolPerformer, ToolRisk};
use crate::config::{self as settings, BoundSecret, SecretString};
use crate::error::ToolSetupError;
use crate::idempotency::IdempotentAct;
use crate::outbound::OutboundClient;
use crate::rate::CallRate;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub use config::{MessageConfig, TwilioConfig};

const WHATSAPP: &str = "whatsapp";
/// Maximum size of one message, in bytes; WhatsApp accepts 4,096 characters.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// A channel to a phone.
struct MessageChannel {
    tool: &'static str,
    name: &'static str,
    description: &'static str,
    timeout: Duration,
    rate: CallRate,
    offered: &'static [ProviderOption],
}

const OUTBOX: ProviderOption = ProviderOption::free("outbox", &[]);
const CHANNELS: &[MessageChannel] = &[
    MessageChannel {
        tool: "send_whatsapp",
        name: WHATSAPP,
        description: "Sends a WhatsApp message to a phone",
        timeout: Duration::from_secs(5),
        rate: CallRate::per_minute(10),
        offered: &[
            OUTBOX,
            ProviderOption::free(
                twilio::NAME,
                &["message.twilio.account_sid", "message.twilio.auth_token", "message.twilio.whatsapp_from"],
            )
            .at(TWILIO_USD),
        ],
    },
    MessageChannel {
        tool: "send_sms",
        name: "sms",
        description: "Sends a text message to a phone",
        timeout: Duration::from_secs(30),
        rate: CallRate::Free,
        offered: &[
            OUTBOX,
            ProviderOption::free(
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
    config: &settings::ToolsConfig,
    records: &Arc<dyn RecordStore>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<OutboundClient>,
) -> Result<Vec<ToolEntry>, ToolSetupError> {
    let settings = ByTenant::read(config, config.message.clone(), |tenant| tenant.message.clone());
    let entry = |channel: &'static MessageChannel| {
        let performers = settings.try_map(|place, settings| {
            settings.check().map_err(|reason| ToolSetupError::Setting { place: "message", reason })?;
            Ok::<_, ToolSetupError>(match settings.twilio() {
                None => {
                    let tool =
                        MessageOutboxTool { channel: channel.name, records: records.clone(), clock: clock.clone() };
                    let tool =
                        AccountBoundTool::bind_to_account(Arc::new(tool), ProviderAccount::Internal, records, clock);
                    ToolPerformer::new("outbox", EffectClass::Keyed, tool)
                }
                Some(twilio) => {
                    let to = |tool, account| AccountBoundTool::bind_to_account(tool, account, records, clock);
                    by_twilio(channel, twilio, &format!("{place}.message.twilio"), &config.secrets, outbound, &to)
                }
            })
        })?;
        let action = ActionSpec::new(facts(channel), "notification", ToolRisk::Medium);
        Ok(ToolEntry::with_performers(channel.tool, "communication", performers, action)
            .with_offers(channel.offered)
            .with_rate(channel.rate))
    };
    CHANNELS.iter().map(entry).collect()
}

fn by_twilio(
    channel: &'static MessageChannel,
    config: &TwilioConfig,
    place: &str,
    secrets: &BTreeMap<String, BoundSecret>,
    outbound: &Arc<OutboundClient>,
    to: &dyn Fn(Arc<dyn ToolHandler>, ProviderAccount) -> Arc<dyn ToolHandler>,
) -> ToolPerformer {
    let lacking = |setting: String| ToolPerformer::unavailable(twilio::NAME, EffectClass::Verify, setting);
    if config.account_sid.is_empty() {
        return lacking(format!("{place}.account_sid"));
    }
    let password = match SecretString::required(
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
        number.map(|number| TwilioSender::Number(format!("whatsapp:{}", number.trim_start_matches("whatsapp:"))))
    } else {
        let service = config.messaging_service_sid.clone().map(TwilioSender::Service);
        service.or_else(|| config.from.clone().map(TwilioSender::Number))
    };
    let Some(sender) = sender else {
        return lacking(format!("{place}.{}", if channel.name == WHATSAPP { "whatsapp_from" } else { "from" }));
    };
    let tool = TwilioTool::new(config, password, channel.name, sender, outbound.clone());
    let account = ProviderAccount::named(twilio::NAME, &twilio::base(config), &config.account_sid);
    ToolPerformer::new(twilio::NAME, EffectClass::Verify, to(Arc::new(tool), account))
        .with_cost(Usd::from_f64(TWILIO_USD))
}

fn facts(channel: &MessageChannel) -> ToolContract {
    ToolContract {
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
        // Uses the provider with the weakest promise: `ToolEntry::with_performers`.
        ..ToolContract::new(EffectClass::Keyed, channel.timeout)
    }
}

struct MessageOutboxTool {
    channel: &'static str,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for MessageOutboxTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let message = (*request.call.arguments).clone();
        outbox::put(&*self.records, &*self.clock, request, self.channel, message).await
    }

    /// Called if another tenant's provider makes the tool `verify`: the key's row gives a certain answer.
    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        IdempotentAct::new(&*self.records, request).look_up().await
    }
}

#[cfg(test)]
mod tests;
