//! What every defined tool may say of itself, whatever its kind.

use std::time::Duration;

use baton_core::expr::nearest;
use baton_core::money::Usd;
use baton_core::tool::{Class, Compensation, Facts, OnUnavailable, Retry};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Mistake, check_roots, parse, read};
use crate::catalogue::{Action, Entry, Risk};
use crate::check::Schema;
use crate::mcp::Override;
use crate::openapi::Operation;
use crate::rate::Rate;
use crate::shipped::TIMEOUT;
use crate::tool::Tool;

const NAME_BYTES_MAX: usize = 128;
/// Of what an OpenAPI document says of an operation: models are told all of it at each step.
const DESCRIPTION_BYTES_MAX: usize = 1_000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    pub(crate) class: Option<Class>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    retry: Option<Retry>,
    #[serde(default)]
    compensation: Option<Compensation>,
    #[serde(default)]
    irreversible: Option<String>,
    /// JSON Schema.
    #[serde(default)]
    parameters: Value,
    #[serde(default)]
    pub(super) output_fields: Vec<String>,
    #[serde(default)]
    audit_type: Option<String>,
    #[serde(default)]
    risk: Option<Risk>,
    #[serde(default)]
    cost_usd: f64,
    #[serde(default)]
    rate: Option<Rate>,
    #[serde(default)]
    cache_seconds: Option<u64>,
    #[serde(default)]
    on_unavailable: Option<OnUnavailable>,
    /// What stands in for its answer then.
    #[serde(default)]
    stand_in: Map<String, Value>,
}

/// What a source of tools says of one of them, where nobody says otherwise.
pub(crate) struct Said {
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) class: Class,
    pub(crate) risk: Risk,
    pub(crate) parameters: Value,
    pub(crate) timeout_ms: u64,
    /// Why one that acts cannot be undone, unless a compensation is named.
    pub(crate) irreversible: &'static str,
}

const FIELDS: &[&str] = &[
    "name",
    "description",
    "category",
    "class",
    "timeout_ms",
    "retry",
    "compensation",
    "irreversible",
    "parameters",
    "output_fields",
    "audit_type",
    "risk",
    "cost_usd",
    "rate",
    "cache_seconds",
    "on_unavailable",
    "stand_in",
];

/// What a tool's own compensation may name beside the names of the run that calls it, which are not known here.
const UNDO_NAMES: &[&str] = &["output", "arguments", "input", "context", "shared_context", "run"];

/// Whether the arguments of a compensation can be written: what does not parse, and what is a slip of the pen, is refused.
fn compensates(place: &str, parameters: &Value) -> Result<(), Mistake> {
    let roots = parse(place, parameters)?.roots().clone();
    let is_slip =
        |root: &&String| !UNDO_NAMES.contains(&root.as_str()) && nearest(root, UNDO_NAMES.iter().copied()).is_some();
    check_roots(place, &roots.iter().filter(is_slip).cloned().collect(), UNDO_NAMES)
}

impl Profile {
    /// Whether it says what its output carries.
    pub(crate) fn names_output(&self) -> bool {
        !self.output_fields.is_empty()
    }

    /// Takes its fields out of a definition and leaves those of its kind.
    pub(crate) fn take(fields: &mut Map<String, Value>) -> Result<Self, Mistake> {
        let own = FIELDS.iter().filter_map(|name| fields.remove_entry(*name)).collect();
        let profile: Self = read("", own)?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if profile.name.is_empty() || profile.name.len() > NAME_BYTES_MAX || !profile.name.bytes().all(named) {
            let reason = "a name is 1 to 128 letters, digits, `_`, `-` and `.`";
            return Err(Mistake::at("name", reason));
        }
        Schema::new(profile.parameters.clone())
            .compile()
            .map_err(|reason| Mistake::at("parameters", format!("is no JSON Schema: {reason}")))?;
        if !profile.cost_usd.is_finite() || profile.cost_usd < 0.0 {
            return Err(Mistake::at("cost_usd", "is a price in US dollars, zero or more"));
        }
        if let Some(way @ OnUnavailable::Provider(_)) = &profile.on_unavailable {
            let reason = format!("`{way}`: a defined tool has one provider; write another tool and an `on_error`");
            return Err(Mistake::at("on_unavailable", reason));
        }
        if let Some(compensation) = &profile.compensation {
            compensates("compensation.parameters", &compensation.parameters)?;
        }
        Ok(profile)
    }

    /// Whether what it says of outages can be, once its class is known.
    pub(super) fn stands(&self) -> Result<(), Mistake> {
        if self.on_unavailable == Some(OnUnavailable::Empty) && self.class.is_some_and(Class::acts) {
            let reason = "`empty` is for tools that only ask; what acts is never answered for: say `unavailable`, \
                          `queue` or `manual`";
            return Err(Mistake::at("on_unavailable", reason));
        }
        Ok(())
    }

    pub(super) fn of_class(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// What one operation of an OpenAPI document says of itself, the rest as the definition says for all of them.
    pub(crate) fn of_operation(
        &self,
        name: String,
        description: String,
        parameters: Value,
        operation: &Operation,
        trusted: bool,
    ) -> Self {
        let class = match &operation.method {
            &Method::GET | &Method::HEAD | &Method::OPTIONS => Class::Read,
            _ if operation.idempotency_header.is_some() => Class::Keyed,
            &Method::PUT | &Method::DELETE => Class::Keyed,
            _ => Class::Once,
        };
        let by_method = match (class.acts(), &operation.method) {
            (false, _) => Risk::Low,
            (true, &Method::DELETE) => Risk::High,
            (true, _) => Risk::Medium,
        };
        let unseen = if class.acts() { Risk::High } else { Risk::Medium };
        let irreversible = || "its document does not say how it is undone".to_owned();
        let mut description = description;
        description.truncate(description.floor_char_boundary(DESCRIPTION_BYTES_MAX));
        Self {
            name,
            description,
            class: Some(class),
            parameters,
            risk: self.risk.or(Some(if trusted { by_method } else { unseen })),
            irreversible: class.acts().then(|| self.irreversible.clone().unwrap_or_else(irreversible)),
            ..self.clone()
        }
    }

    /// Itself, and what its source says where it says nothing.
    pub(crate) fn or(self, said: Said) -> Self {
        let class = self.class.unwrap_or(said.class);
        let is_unsaid = class.acts() && self.compensation.is_none() && self.irreversible.is_none();
        let risk = if class.acts() { said.risk } else { Risk::Low };
        Self {
            description: if self.description.is_empty() { said.description } else { self.description },
            category: self.category.or(Some(said.category)),
            class: Some(class),
            risk: self.risk.or(Some(risk)),
            parameters: if self.parameters.is_null() { said.parameters } else { self.parameters },
            timeout_ms: self.timeout_ms.or(Some(said.timeout_ms)),
            irreversible: if is_unsaid { Some(said.irreversible.to_owned()) } else { self.irreversible },
            ..self
        }
    }

    /// The first thing it says that can be said of one tool only.
    pub(crate) fn said_of_one_tool(&self) -> Option<&'static str> {
        let said = [
            ("class", self.class.is_some()),
            ("compensation", self.compensation.is_some()),
            ("parameters", !self.parameters.is_null()),
            ("output_fields", !self.output_fields.is_empty()),
        ];
        said.into_iter().find_map(|(name, is_said)| is_said.then_some(name))
    }

    /// What one tool of an MCP server says of itself, and the definition of it; the rest as the definition says for all.
    pub(crate) fn of_remote(
        &self,
        name: String,
        mut description: String,
        parameters: Value,
        (class, risk): (Class, Risk),
        said: Override,
    ) -> Self {
        let irreversible = || "its server does not say how it is undone".to_owned();
        let is_undone = said.compensation.is_some() || !class.acts();
        let unless_undone = || self.irreversible.clone().unwrap_or_else(irreversible);
        description.truncate(description.floor_char_boundary(DESCRIPTION_BYTES_MAX));
        Self {
            name,
            description,
            class: Some(class),
            parameters,
            risk: self.risk.or(Some(risk)),
            irreversible: said.irreversible.or_else(|| (!is_undone).then(unless_undone)),
            compensation: said.compensation,
            timeout_ms: said.timeout_ms.or(self.timeout_ms),
            retry: said.retry.or_else(|| self.retry.clone()),
            audit_type: said.audit_type.or_else(|| self.audit_type.clone()),
            cost_usd: said.cost_usd.unwrap_or(self.cost_usd),
            rate: said.rate.or(self.rate),
            cache_seconds: said.cache_seconds.or(self.cache_seconds),
            ..self.clone()
        }
    }

    /// The catalogue's entry.
    pub(crate) fn entry(self, provider: &'static str, tool: std::sync::Arc<dyn Tool>) -> Entry {
        let class = self.class.unwrap_or(Class::Once);
        let facts = Facts {
            retry: self.retry.unwrap_or_default(),
            compensation: self.compensation,
            irreversible: self.irreversible,
            parameters: self.parameters,
            description: self.description,
            output_fields: self.output_fields,
            on_unavailable: self.on_unavailable,
            stand_in: self.stand_in,
            ..Facts::new(class, self.timeout_ms.map_or(TIMEOUT, Duration::from_millis))
        };
        let risk = self.risk.unwrap_or(if class.acts() { Risk::Medium } else { Risk::Low });
        let audit_type = self.audit_type.unwrap_or_else(|| "tool_execution".to_owned());
        let category = self.category.unwrap_or_else(|| "custom".to_owned());
        Entry::new(&self.name, category, provider, Action::new(facts, audit_type, risk), tool)
            .costing(Usd::from_f64(self.cost_usd))
            .at_most(self.rate.unwrap_or(Rate::Free))
            .holding(self.cache_seconds.map(Duration::from_secs))
    }
}
