//! Stage: the arguments are complete and fit the tool's schema.
//!
//! In order: what a preset always says, the tenant's overrides, its defaults, the schema's defaults, relative dates,
//! then the schema.

mod dates;
mod schema;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use baton_core::tool::ToolInvocation;
use baton_ports::budget::ChargeCollector;
use serde_json::{Map, Value};

pub(crate) use schema::ArgumentSchema;

use super::EarlyOutcome;
use crate::catalogue::{ActionVariant, ToolEntry};
use crate::code;
use crate::config::ToolPermission;
use crate::request::PreparedRequest;
use crate::rules::TenantRules;

/// The request that the tool will see.
pub(super) fn settle(
    rules: &TenantRules,
    permission: Option<&ToolPermission>,
    call: &ToolInvocation,
    entry: &Arc<ToolEntry>,
) -> Result<PreparedRequest, EarlyOutcome> {
    let mut settled = call.clone();
    let (zone, language) = (rules.zone(&call.caller), rules.language(&call.caller));
    if settled.arguments.is_null() {
        settled.arguments = Arc::new(Value::Object(Map::new()));
    }
    let mut changed = apply_overrides(&mut settled.arguments, &entry.fixed);
    if let Some(permission) = permission {
        changed |= apply_overrides(&mut settled.arguments, &permission.overrides);
        changed |= apply_defaults(&mut settled.arguments, &permission.defaults);
    }
    let variant = entry.variant(&settled.arguments);
    changed |= fill_defaults_and_dates(&mut settled, variant, &zone);
    variant
        .schema
        .check(&settled.arguments)
        .map_err(|wrong| EarlyOutcome::refused(code::INVALID_PARAMETERS, format!("`{}`: {wrong}", call.tool), entry))?;
    let asked = changed.then(|| call.arguments.clone());
    Ok(PreparedRequest {
        call: settled,
        journaled_arguments: asked,
        language,
        zone,
        account: None,
        tab: ChargeCollector::default(),
        is_waiting: AtomicBool::new(false),
    })
}

/// Fills in the schema's defaults and settles relative dates.
fn fill_defaults_and_dates(settled: &mut ToolInvocation, variant: &ActionVariant, zone: &str) -> bool {
    let mut changed = apply_defaults(&mut settled.arguments, variant.schema.defaults());
    for name in variant.schema.dates() {
        let written = settled.arguments.get(name).and_then(Value::as_str);
        if let Some(date) = written.and_then(|written| dates::resolve(written, settled.at, zone)) {
            set(&mut settled.arguments, name, date.to_string().into());
            changed = true;
        }
    }
    changed
}

/// Sets what must be so.
fn apply_overrides(arguments: &mut Arc<Value>, values: &Map<String, Value>) -> bool {
    values.iter().for_each(|(name, value)| set(arguments, name, value.clone()));
    arguments.is_object() && !values.is_empty()
}

/// Sets what is not there.
fn apply_defaults(arguments: &mut Arc<Value>, values: &Map<String, Value>) -> bool {
    let mut changed = false;
    for (name, value) in values {
        if arguments.as_object().is_some_and(|arguments| !arguments.contains_key(name)) {
            set(arguments, name, value.clone());
            changed = true;
        }
    }
    changed
}

/// Sets one, where they are an object. The run's own stay as they are: they are copied with the first that is set.
fn set(arguments: &mut Arc<Value>, name: &str, value: Value) {
    if arguments.is_object()
        && let Value::Object(arguments) = Arc::make_mut(arguments)
    {
        arguments.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
