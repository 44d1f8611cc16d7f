//! Response schemas of models.

use serde_json::Value;
use utoipa::ToSchema;

#[derive(ToSchema)]
pub(in crate::api) struct ModelList {
    /// Replies come from files: the router chooses all the same.
    scripted: bool,
    models: Vec<ModelFacts>,
}

/// A model that may be named.
#[derive(ToSchema)]
pub(super) struct ModelFacts {
    name: String,
    provider: String,
    /// Prices, context, quality, capabilities; nothing where no catalogue knows it.
    #[schema(value_type = Option<Object>)]
    facts: Option<Value>,
    /// Why it cannot be asked now.
    unusable: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Profiles)]
pub(in crate::api) struct ProfileListSchema {
    profiles: Vec<ProfileSchema>,
}

#[derive(ToSchema)]
#[schema(as = ProfileRules)]
pub(super) struct ProfileSchema {
    /// `fast`, `balanced` or `powerful`.
    profile: String,
    /// Groups, each asked where the one before cannot answer.
    models: Vec<Vec<String>>,
    max_cost_usd: f64,
    max_latency_ms: u64,
    #[schema(value_type = Object)]
    weights: Value,
    /// Whom it would ask now, and why.
    #[schema(value_type = Object)]
    choice: Value,
}

#[derive(ToSchema)]
pub(in crate::api) struct CircuitList {
    circuits: Vec<CircuitSchema>,
}

/// A model's circuit as it was last said to be.
#[derive(ToSchema)]
#[schema(as = CircuitState)]
pub(in crate::api) struct CircuitSchema {
    model: String,
    /// `closed`, `open` or `half_open`: an open one whose time is over lets one call find out.
    state: String,
    since: String,
    /// Nothing where only a person closes it.
    until: Option<String>,
    by: String,
    reason: String,
}
