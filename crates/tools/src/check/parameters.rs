//! Stage: the arguments are complete and fit the tool's schema.
//!
//! In order: what a preset always says, the tenant's overrides, its defaults, the schema's defaults, relative dates,
//! then the schema.

mod dates;
mod schema;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use baton_core::tool::Call;
use baton_ports::budget::Tab;
use serde_json::{Map, Value};

pub(crate) use schema::Schema;

use super::Stopped;
use crate::catalogue::{Entry, Variant};
use crate::code;
use crate::config::Permission;
use crate::request::Request;
use crate::rules::TenantRules;

/// The request that the tool will see.
pub(super) fn settle(
    rules: &TenantRules,
    permission: Option<&Permission>,
    call: &Call,
    entry: &Arc<Entry>,
) -> Result<Request, Stopped> {
    let mut settled = call.clone();
    let (zone, language) = (rules.zone(&call.caller), rules.language(&call.caller));
    if let Value::Null = settled.arguments {
        settled.arguments = Value::Object(Map::new());
    }
    let mut changed = false;
    if let Value::Object(arguments) = &mut settled.arguments {
        changed |= impose(arguments, &entry.fixed);
        if let Some(permission) = permission {
            changed |= impose(arguments, &permission.overrides);
            changed |= fill(arguments, &permission.defaults);
        }
    }
    let variant = entry.variant(&settled.arguments);
    changed |= complete(&mut settled, variant, &zone);
    variant
        .schema
        .check(&settled.arguments)
        .map_err(|wrong| Stopped::refused(code::INVALID_PARAMETERS, format!("`{}`: {wrong}", call.tool), entry))?;
    let asked = changed.then(|| call.arguments.clone());
    Ok(Request {
        call: settled,
        asked,
        language,
        zone,
        account: None,
        tab: Tab::default(),
        unsent: AtomicBool::new(false),
    })
}

/// Fills in the schema's defaults and settles relative dates.
fn complete(settled: &mut Call, variant: &Variant, zone: &str) -> bool {
    let Value::Object(arguments) = &mut settled.arguments else { return false };
    let mut changed = fill(arguments, variant.schema.defaults());
    for name in variant.schema.dates() {
        if let Some(Value::String(written)) = arguments.get_mut(name)
            && let Some(date) = dates::resolve(written, settled.at, zone)
        {
            *written = date.to_string();
            changed = true;
        }
    }
    changed
}

/// Sets what must be so.
fn impose(arguments: &mut Map<String, Value>, values: &Map<String, Value>) -> bool {
    values.iter().for_each(|(name, value)| drop(arguments.insert(name.clone(), value.clone())));
    !values.is_empty()
}

/// Sets what is not there.
fn fill<'a>(arguments: &mut Map<String, Value>, values: impl IntoIterator<Item = (&'a String, &'a Value)>) -> bool {
    let mut changed = false;
    for (name, value) in values {
        if !arguments.contains_key(name) {
            arguments.insert(name.clone(), value.clone());
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests;
