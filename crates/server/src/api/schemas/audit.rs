//! Response schemas of the audit trail.

use serde_json::Value;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Trail)]
pub(in crate::api) struct AuditListSchema {
    rows: Vec<AuditRowSchema>,
    /// Nothing on the last page.
    next_cursor: Option<u64>,
}

/// A row of the trail.
#[derive(ToSchema)]
#[schema(as = AuditRow)]
pub(in crate::api) struct AuditRowSchema {
    /// From 1, without a gap.
    seq: u64,
    at: String,
    company_id: String,
    /// What is about a person is gone from it once it was erased.
    user_id: Option<String>,
    agent_name: Option<String>,
    conversation_id: Option<String>,
    action_type: String,
    action: String,
    details: Value,
    /// `success`, `error` or `compensated`.
    status: String,
    error_code: Option<String>,
    cost_usd: f64,
    duration_ms: u64,
    /// Over the row and the hash before it.
    hash: String,
    erased_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Verified)]
pub(in crate::api) struct AuditVerification {
    holds: bool,
    /// How many were followed.
    rows: u64,
    /// Of these, how many a person was erased from.
    erased: u64,
    /// The newest hash: note it elsewhere now and then.
    tip: String,
    /// The first row that does not hold, and why.
    #[schema(value_type = Option<Object>)]
    broken: Option<Value>,
    expected_is_missing: bool,
}
