//! Stage: people have approved exactly this call, if the settings require it.

use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::canonical;
use baton_ports::tools::ApprovalRequirement;
use serde_json::json;

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::config::{ApproverPolicy, ToolPermission};
use crate::request::PreparedRequest;
use crate::rules::TenantRules;

/// An approval that the call has. Performing checks that it still matches the outgoing request.
pub(crate) struct GrantedApproval {
    hash: ContentHash,
    /// The account that it was granted for, if the tool has one.
    pub(super) account: Option<String>,
}

impl GrantedApproval {
    /// Returns whether it was granted for this request.
    pub(crate) fn matches(&self, request: &PreparedRequest, entry: &ToolEntry) -> bool {
        self.hash == hash(request, entry, self.account.as_deref())
    }

    #[cfg(test)]
    pub(crate) fn for_another_request() -> Self {
        Self { hash: ContentHash::of(b"something else"), account: None }
    }
}

/// Returns the approval of a call, or `None` if none is required.
pub(super) async fn check(
    rules: &TenantRules,
    permission: Option<&ToolPermission>,
    request: &PreparedRequest,
    entry: &Arc<ToolEntry>,
    approved: Option<&str>,
) -> Result<Option<GrantedApproval>, EarlyOutcome> {
    if !is_needed(rules, permission, request, entry) {
        return Ok(None);
    }
    let account = entry.performer_of(&request.call).tool.account(request).await;
    let hash = hash(request, entry, account.as_deref());
    if approved == Some(hash.as_str()) {
        return Ok(Some(GrantedApproval { hash, account }));
    }
    let of_workflow = rules.workflow(&request.call.workflow).and_then(|rule| rule.approvers.as_ref());
    let of_tool = permission.and_then(|permission| permission.approvers.as_ref());
    let approvers = of_tool.or(of_workflow).or(rules.approvers.as_ref()).cloned().unwrap_or_default();
    Err(EarlyOutcome::NeedsApproval(Box::new(approval_request(hash, request, account, approvers))))
}

fn approval_request(
    hash: ContentHash,
    request: &PreparedRequest,
    account: Option<String>,
    approvers: ApproverPolicy,
) -> ApprovalRequirement {
    ApprovalRequirement {
        hash: hash.to_string(),
        account,
        arguments: (*request.call.arguments).clone(),
        approvals_needed: approvers.need.get(),
        deadline: approvers.deadline(),
        on_expiry: approvers.on_deadline,
        approvers: approvers.from,
    }
}

/// The tool's own setting takes precedence; otherwise the workflow or the risk decides whether the call waits.
fn is_needed(
    rules: &TenantRules,
    permission: Option<&ToolPermission>,
    request: &PreparedRequest,
    entry: &ToolEntry,
) -> bool {
    if let Some(said) = permission.and_then(|permission| permission.approval) {
        return said;
    }
    let risk = || entry.variant(&request.call.arguments).risk;
    let workflow = rules.workflow(&request.call.workflow);
    let by_workflow = workflow.is_some_and(|rule| {
        rule.approval.is_some_and(|all| all && request.call.class.has_side_effects())
            || rule.approval_from.is_some_and(|from| risk() >= from)
    });
    by_workflow || rules.approval_from.is_some_and(|from| risk() >= from)
}

/// What people approve: SHA-256 over RFC 8785 JSON of the tenant, the tool with its version, the provider and its
/// account, the effect's key and the settled arguments. Secrets are not among the arguments: a tool's definition
/// names them.
fn hash(request: &PreparedRequest, entry: &ToolEntry, account: Option<&str>) -> ContentHash {
    let call = &request.call;
    let mut allowed = json!({
        "tenant": call.tenant, "tool": entry.name, "version": entry.version().as_str(), "connection": entry.performer_of(call).provider,
        "key": call.key, "arguments": call.arguments,
    });
    if !call.replies.is_empty() {
        allowed["replies"] = json!(call.replies);
    }
    if let Some(account) = account {
        allowed["account"] = account.into();
    }
    ContentHash::of(canonical::text(&allowed).as_bytes())
}

#[cfg(test)]
mod tests;
