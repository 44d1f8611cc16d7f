//! Stage: the arguments are complete and match the tool's schema.
//!
//! Applied in order: the fixed arguments of a preset, the tenant's overrides, the tenant's defaults, the schema's
//! defaults, relative dates, then schema validation.

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

/// Returns the request that the tool will receive.
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

/// Fills in the schema's defaults and resolves relative dates.
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

/// Sets arguments, replacing existing ones.
fn apply_overrides(arguments: &mut Arc<Value>, values: &Map<String, Value>) -> bool {
    values.iter().for_each(|(name, value)| set(arguments, name, value.clone()));
    arguments.is_object() && !values.is_empty()
}

/// Sets arguments that are missing.
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

/// Sets one argument, if the arguments are an object. The run's own arguments stay unchanged: the first change copies
/// them.
fn set(arguments: &mut Arc<Value>, name: &str, value: Value) {
    if arguments.is_object()
        && let Value::Object(arguments) = Arc::make_mut(arguments)
    {
        arguments.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
