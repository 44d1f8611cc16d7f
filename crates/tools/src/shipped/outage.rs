//! What shipped tools do while their service is down, and whom else a setting has them ask.

use std::sync::Arc;

use baton_core::tool::OnUnavailable;
use serde_json::{Value, from_value, json};

use super::{Services, calendar_entry};
use crate::catalogue::Entry;
use crate::config::Config;
use crate::error::Error;
use crate::outbound::Outbound;
use crate::providers::calendar::Provider;
use crate::providers::{email, message, payment};

/// The shipped tools with their defaults, and with the other providers that settings name.
pub(super) fn standing(
    config: &Config,
    entries: Vec<Entry>,
    services: &Services,
    outbound: &Arc<Outbound>,
) -> Result<Vec<Entry>, Error> {
    let wanted = |entry: &Entry| match config.tool.get(&*entry.name)?.on_unavailable.as_ref()? {
        OnUnavailable::Provider(name) => Some(name.clone()),
        OnUnavailable::Empty | OnUnavailable::Unavailable | OnUnavailable::Queue | OnUnavailable::Manual => None,
    };
    let set_up = |entry: Entry| {
        let entry = by_default(config, entry);
        let Some(name) = wanted(&entry) else { return Ok(entry) };
        let tool = entry.name.clone();
        let other = other(config, &tool, &name, services, outbound);
        let with = other.and_then(|other| entry.or_by(&name, &other));
        with.map_err(|reason| Error::Setting {
            place: "tool",
            reason: format!("`{tool}` has `on_unavailable = \"provider {name}\"`: {reason}"),
        })
    };
    entries.into_iter().map(set_up).collect()
}

fn by_default(config: &Config, entry: Entry) -> Entry {
    let nothing = json!({});
    match &*entry.name {
        "knowledge_base" => entry.action_standing("", OnUnavailable::Empty, &json!({"results": [], "count": 0})),
        "rag_query" => {
            let nothing = json!({"results": [], "count": 0, "sufficient": false, "rounds": 0});
            entry.action_standing("", OnUnavailable::Empty, &nothing)
        }
        "send_email" | "send_whatsapp" | "send_sms" => entry.action_standing("", OnUnavailable::Queue, &nothing),
        "google_calendar" => {
            let by_hand = matches!(config.calendar.provider, Provider::Calendly);
            let acts = || if by_hand { OnUnavailable::Manual } else { OnUnavailable::Unavailable };
            let no_slots = json!({"slots": [], "available_slots": []});
            entry
                .action_standing("check_availability", OnUnavailable::Unavailable, &no_slots)
                .action_standing("create_booking", acts(), &nothing)
                .action_standing("cancel_booking", acts(), &nothing)
        }
        _ => entry,
    }
}

/// The tool as it would be had the settings chosen this provider, for everybody and for each tenant with settings of its
/// own.
fn other(
    config: &Config,
    tool: &str,
    name: &str,
    services: &Services,
    outbound: &Arc<Outbound>,
) -> Result<Entry, String> {
    let mut config = config.clone();
    let unknown = |_| format!("`{tool}` has no provider `{name}`");
    let named = Value::from(name);
    let Services { records, clock, .. } = services;
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
            let provider: Provider = from_value(named).map_err(unknown)?;
            let own = config.tenants.values_mut().filter_map(|tenant| tenant.calendar.as_mut());
            own.chain([&mut config.calendar]).for_each(|calendar| calendar.provider = provider);
            calendar_entry(&config, services, outbound).map(|entry| vec![entry])
        }
        _ => return Err(format!("no other provider of `{tool}` can stand in for the chosen one")),
    };
    let made = made.map_err(|error| error.to_string())?.into_iter().find(|entry| &*entry.name == tool);
    let made = made.ok_or_else(|| format!("`{tool}` has no provider `{name}`"))?;
    let lack = made.lacks().next();
    match lack {
        Some(lack) => Err(format!("the setting `{}` is not there", lack.setting)),
        None => Ok(made),
    }
}
