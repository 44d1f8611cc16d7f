//! Stage: a person has allowed these exact arguments, where the settings ask for one.

use std::sync::Arc;

use baton_core::bundle::Hash;
use serde_json::json;

use super::Stopped;
use crate::canonical;
use crate::catalogue::Entry;
use crate::config::Permission;
use crate::request::Request;
use crate::rules::TenantRules;

pub(super) fn check(
    rules: &TenantRules,
    permission: Option<&Permission>,
    request: &Request,
    entry: &Arc<Entry>,
    approved: Option<&str>,
) -> Result<(), Stopped> {
    let by_risk = || rules.approval_from.is_some_and(|from| entry.variant(&request.call.arguments).risk >= from);
    if !permission.and_then(|permission| permission.approval).unwrap_or_else(by_risk) {
        return Ok(());
    }
    let hash = hash(request, entry);
    if approved == Some(hash.as_str()) { Ok(()) } else { Err(Stopped::NeedsApproval { hash: hash.to_string() }) }
}

/// What a person approves: SHA-256 over RFC 8785 JSON of tenant, tool, effect key and settled arguments.
fn hash(request: &Request, entry: &Entry) -> Hash {
    let call = &request.call;
    let approved = json!({
        "tenant": call.tenant, "tool": entry.name, "key": call.key, "arguments": call.arguments,
    });
    Hash::of(canonical::text(&approved).as_bytes())
}
