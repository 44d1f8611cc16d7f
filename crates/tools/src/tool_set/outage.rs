//! What shipped tools do while their service is down, and the alternative providers that the settings name.

use std::sync::Arc;

use baton_core::tool::OnUnavailable;
use serde_json::{Value, from_value, json};

use super::{ToolServices, calendar_entry};
use crate::catalogue::ToolEntry;
use crate::config::ToolsConfig;
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::providers::calendar::CalendarProviderKind;
use crate::providers::{email, message, payment};

/// Applies the default outage policies to the shipped tools, and adds the alternative providers that settings name.
pub(super) fn apply_outage_settings(
    config: &ToolsConfig,
    entries: Vec<ToolEntry>,
    services: &ToolServices,
    outbound: &Arc<OutboundClient>,
) -> Result<Vec<ToolEntry>, ToolSetupError> {
    let wanted = |entry: &ToolEntry| match config.tool.get(&*entry.name)?.on_unavailable.as_ref()? {
        OnUnavailable::Provider(name) => Some(name.clone()),
        OnUnavailable::Empty | OnUnavailable::Unavailable | OnUnavailable::Queue | OnUnavailable::Manual => None,
    };
    let set_up = |entry: ToolEntry| {
        let entry = with_default_outage_policy(config, entry);
        let Some(name) = wanted(&entry) else { return Ok(entry) };
        let tool = entry.name.clone();
        let other = alternative_entry(config, &tool, &name, services, outbound);
        let with = other.and_then(|other| entry.with_alternative(&name, &other));
        with.map_err(|reason| ToolSetupError::Setting {
            place: "tool",
            reason: format!("`{tool}` has `on_unavailable = \"provider {name}\"`: {reason}"),
        })
    };
    entries.into_iter().map(set_up).collect()
}

fn with_default_outage_policy(config: &ToolsConfig, entry: ToolEntry) -> ToolEntry {
    let nothing = json!({});
    match &*entry.name {
        "knowledge_base" => {
            entry.with_action_outage_policy("", OnUnavailable::Empty, &json!({"results": [], "count": 0}))
        }
        "rag_query" => {
            let nothing = json!({"results": [], "count": 0, "sufficient": false, "rounds": 0});
            entry.with_action_outage_policy("", OnUnavailable::Empty, &nothing)
        }
        "send_email" | "send_whatsapp" | "send_sms" => {
            entry.with_action_outage_policy("", OnUnavailable::Queue, &nothing)
        }
        "google_calendar" => {
            let by_hand = matches!(config.calendar.provider, CalendarProviderKind::Calendly);
            let acts = || if by_hand { OnUnavailable::Manual } else { OnUnavailable::Unavailable };
            let no_slots = json!({"slots": [], "available_slots": []});
            entry
                .with_action_outage_policy("check_availability", OnUnavailable::Unavailable, &no_slots)
                .with_action_outage_policy("create_booking", acts(), &nothing)
                .with_action_outage_policy("cancel_booking", acts(), &nothing)
        }
        _ => entry,
    }
}

/// Builds the tool as if the settings had chosen this provider, for all tenants and for each tenant with settings of
/// its own.
fn alternative_entry(
    config: &ToolsConfig,
    tool: &str,
    name: &str,
    services: &ToolServices,
    outbound: &Arc<OutboundClient>,
) -> Result<ToolEntry, String> {
    let mut config = config.clone();
    let unknown = |_| format!("`{tool}` has no provider `{name}`");
    let named = Value::from(name);
    let ToolServices { records, clock, .. } = services;
    let made = match tool {
        "send_email" => {
            let provider = from_value(named).map_err(unknown)?;
            let own = config.tenants.values_mut().filter_map(|tenant| tenant.email.as_mut());
            own.chain([&mut config.email]).for_each(|email| email.provider = Some(provider));
            email::entry(&config, records, clock, outbound).map(|entry| vec![entry])
        }
        "send_whatsapp" | "send_sms" if name == "outbox" => {
            let own = config.tenants.values_mut().filter_map(|tenant| tenant.message.as_mut());
            own.chain([&mut config.message]).for_each(|message| message.twilio = None);
            message::entries(&config, records, clock, outbound)
        }
        "charge_payment" | "refund_payment" => {
            let provider = from_value(named).map_err(unknown)?;
            let own = config.tenants.values_mut().filter_map(|tenant| tenant.payment.as_mut());
            own.chain([&mut config.payment]).for_each(|payment| payment.provider = Some(provider));
            payment::entries(&config, records, clock, outbound)
        }
        "google_calendar" => {
            let provider: CalendarProviderKind = from_value(named).map_err(unknown)?;
            let own = config.tenants.values_mut().filter_map(|tenant| tenant.calendar.as_mut());
            own.chain([&mut config.calendar]).for_each(|calendar| calendar.provider = provider);
            calendar_entry(&config, services, outbound).map(|entry| vec![entry])
        }
        _ => return Err(format!("no other provider of `{tool}` can stand in for the chosen one")),
    };
    let made = made.map_err(|error| error.to_string())?.into_iter().find(|entry| &*entry.name == tool);
    let made = made.ok_or_else(|| format!("`{tool}` has no provider `{name}`"))?;
    let lack = made.unavailable_providers().next();
    match lack {
        Some(lack) => Err(format!("the setting `{}` is not there", lack.setting)),
        None => Ok(made),
    }
}
