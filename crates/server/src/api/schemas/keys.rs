//! Response schemas of API keys.

use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = ApiKeys)]
pub(in crate::api) struct KeyListSchema {
    keys: Vec<KeySchema>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
}

/// A key without its secret.
#[derive(ToSchema)]
#[schema(as = ApiKey)]
pub(in crate::api) struct KeySchema {
    id: String,
    name: String,
    /// `admin`, `builder`, `operator`, `human_agent` or `service`.
    role: String,
    tenant: String,
    /// `good`, `expired` or `revoked`.
    state: String,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    per_minute: Option<u32>,
    /// What of all that its role may it may; nothing: all of it.
    scopes: Option<Vec<String>>,
}

/// A key with its secret, for the only time.
#[derive(ToSchema)]
#[schema(as = MintedKey)]
pub(in crate::api) struct MintedKeySchema {
    id: String,
    name: String,
    role: String,
    tenant: String,
    state: String,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    per_minute: Option<u32>,
    scopes: Option<Vec<String>>,
    /// The secret: `Authorization: Bearer KEY`. Nothing in the answer of a repetition under the same `Idempotency-Key`.
    key: Option<String>,
    /// Of a repetition: what it does not show.
    shown_before: Option<Vec<String>>,
}
