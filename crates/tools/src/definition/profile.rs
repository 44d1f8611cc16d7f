//! The fields that every tool definition may have, whatever its kind.

use std::sync::Arc;
use std::time::Duration;

use baton_core::money::Usd;
use baton_core::tool::{EffectClass, OnUnavailable, RetryPolicy, ToolCompensation, ToolContract};
use baton_expr::nearest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{DefinitionDiagnostic, check_roots, parse, read};
use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::check::ArgumentSchema;
use crate::rate::CallRate;
use crate::tool::ToolHandler;
use crate::tool_set::TIMEOUT;
use crate::validation_warning::suggestion;

const NAME_BYTES_MAX: usize = 128;
/// Maximum size of a description from a source, in bytes. Models receive all of it at each step.
const DESCRIPTION_BYTES_MAX: usize = 1_000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolProfile {
    pub(crate) name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    pub(crate) class: Option<EffectClass>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    retry: Option<RetryPolicy>,
    #[serde(default)]
    compensation: Option<ToolCompensation>,
    #[serde(default)]
    irreversible: Option<String>,
    /// JSON Schema.
    #[serde(default)]
    parameters: Value,
    /// JSON Schema of the output.
    #[serde(default)]
    output_schema: Option<Arc<Value>>,
    /// The tool's version, as its source states it.
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    pub(super) output_fields: Vec<String>,
    #[serde(default)]
    audit_type: Option<String>,
    #[serde(default)]
    risk: Option<ToolRisk>,
    #[serde(default)]
    cost_usd: Option<f64>,
    #[serde(default)]
    rate: Option<CallRate>,
    #[serde(default)]
    cache_seconds: Option<u64>,
    #[serde(default)]
    on_unavailable: Option<OnUnavailable>,
    /// The result that replaces the tool's output during an outage.
    #[serde(default)]
    stand_in: Map<String, Value>,
}

/// What a source says about one of its tools, used for fields that the definition does not set.
pub(crate) struct ProfileDefaults {
    pub(crate) description: String,
    pub(crate) category: Option<String>,
    pub(crate) class: EffectClass,
    pub(crate) risk: ToolRisk,
    pub(crate) parameters: Value,
    pub(crate) output_schema: Option<Arc<Value>>,
    pub(crate) version: Option<String>,
    pub(crate) timeout_ms: Option<u64>,
    /// Why a tool with side effects cannot be undone, unless a compensation is named.
    pub(crate) irreversible: &'static str,
}

/// The fields that a definition of any kind may have.
pub const FIELDS: &[&str] = &[
    "name",
    "description",
    "category",
    "class",
    "timeout_ms",
    "retry",
    "compensation",
    "irreversible",
    "parameters",
    "output_schema",
    "version",
    "output_fields",
    "audit_type",
    "risk",
    "cost_usd",
    "rate",
    "cache_seconds",
    "on_unavailable",
    "stand_in",
];

/// Names that a tool's compensation may use, besides the names of the calling run, which are not known here.
const UNDO_NAMES: &[&str] = &["output", "arguments", "input", "context", "shared_context", "run"];

/// Checks the arguments of a compensation: templates that do not parse, and probable typos, are refused.
fn check_compensation(place: &str, parameters: &Value) -> Result<(), DefinitionDiagnostic> {
    let roots = parse(place, parameters)?.roots().clone();
    let is_slip =
        |root: &&String| !UNDO_NAMES.contains(&root.as_str()) && nearest(root, UNDO_NAMES.iter().copied()).is_some();
    check_roots(place, &roots.iter().filter(is_slip).cloned().collect(), UNDO_NAMES)
}

impl ToolProfile {
    pub(crate) fn parameters(&self) -> &Value {
        &self.parameters
    }

    pub(crate) fn has_output_schema(&self) -> bool {
        self.output_schema.is_some()
    }

    /// Returns whether it declares the fields of its output.
    pub(crate) fn has_output_fields(&self) -> bool {
        !self.output_fields.is_empty()
    }

    /// Removes the common fields from a definition and leaves those of its kind.
    pub(crate) fn extract(fields: &mut Map<String, Value>) -> Result<Self, DefinitionDiagnostic> {
        let own = FIELDS.iter().filter_map(|name| fields.remove_entry(*name)).collect();
        let profile: Self = read("", own)?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if profile.name.is_empty() || profile.name.len() > NAME_BYTES_MAX || !profile.name.bytes().all(named) {
            let reason = "a name is 1 to 128 letters, digits, `_`, `-` and `.`";
            return Err(DefinitionDiagnostic::at("name", reason));
        }
        ArgumentSchema::new(profile.parameters.clone())
            .compile()
            .map_err(|reason| DefinitionDiagnostic::at("parameters", format!("is no JSON Schema: {reason}")))?;
        if let Some(output) = &profile.output_schema {
            let compiled = ArgumentSchema::new(Value::clone(output));
            let is_none = |reason| DefinitionDiagnostic::at("output_schema", format!("is no JSON Schema: {reason}"));
            compiled.compile().map_err(is_none)?;
        }
        if profile.cost_usd.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
            return Err(DefinitionDiagnostic::at("cost_usd", "is a price in US dollars, zero or more"));
        }
        if let Some(way @ OnUnavailable::Provider(_)) = &profile.on_unavailable {
            let reason = format!("`{way}`: a defined tool has one provider; write another tool and an `on_error`");
            return Err(DefinitionDiagnostic::at("on_unavailable", reason));
        }
        if let Some(compensation) = &profile.compensation {
            check_compensation("compensation.parameters", &compensation.parameters)?;
        }
        Ok(profile)
    }

    /// Reads what the definition of a source says about one of its tools: the common fields, and the fields of this
    /// kind (`more`). The name defaults to the given one.
    pub(crate) fn read_override<T: DeserializeOwned>(
        place: &str,
        name: &str,
        mut fields: Map<String, Value>,
        more: &[&'static str],
    ) -> Result<(Self, T), DefinitionDiagnostic> {
        let known = || FIELDS.iter().chain(more).copied();
        if let Some(unknown) = fields.keys().find(|field| !known().any(|known| known == *field)) {
            let reason = format!("unknown field `{unknown}`; {}", suggestion(unknown, known()));
            return Err(DefinitionDiagnostic::at(place, reason));
        }
        fields.entry("name").or_insert_with(|| json!(name));
        let profile = Self::extract(&mut fields).map_err(|mistake| mistake.within(place))?;
        profile
            .check_outage_policy()
            .and_then(|()| profile.reject_verify())
            .map_err(|mistake| mistake.within(place))?;
        Ok((profile, read(place, fields)?))
    }

    /// Refuses `verify`: neither OpenAPI documents nor MCP servers describe how to look up the outcome of a call.
    fn reject_verify(&self) -> Result<(), DefinitionDiagnostic> {
        if self.class == Some(EffectClass::Verify) {
            let reason = "nothing here says how to look up what became of a call; say `once`";
            return Err(DefinitionDiagnostic::at("class", reason));
        }
        Ok(())
    }

    /// Checks that the outage policy is possible for the tool's class.
    pub(crate) fn check_outage_policy(&self) -> Result<(), DefinitionDiagnostic> {
        if self.on_unavailable == Some(OnUnavailable::Empty) && self.class.is_some_and(EffectClass::has_side_effects) {
            let reason = "`empty` is for tools that only ask; what acts is never answered for: say `unavailable`, \
                          `queue` or `manual`";
            return Err(DefinitionDiagnostic::at("on_unavailable", reason));
        }
        Ok(())
    }

    pub(crate) fn with_name(self, name: String) -> Self {
        Self { name, ..self }
    }

    pub(crate) fn with_parameters(self, parameters: Value) -> Self {
        Self { parameters, ..self }
    }

    pub(crate) fn with_class(self, class: EffectClass) -> Self {
        Self { class: Some(class), ..self }
    }

    /// Fills fields that a definition does not set for one tool with those it sets for all tools of the source.
    pub(crate) fn with_source_fallback(self, all: &Self) -> Self {
        let unless_undone = || all.irreversible.clone().filter(|_| self.compensation.is_none());
        // A stand-in result is specific to one tool; that of others would be wrong for it.
        let stand_in = match self.stand_in.is_empty() && self.on_unavailable.is_none() {
            true => all.stand_in.clone(),
            false => self.stand_in,
        };
        let on_unavailable = self.on_unavailable.or_else(|| all.on_unavailable.clone());
        Self {
            category: self.category.or_else(|| all.category.clone()),
            timeout_ms: self.timeout_ms.or(all.timeout_ms),
            retry: self.retry.or_else(|| all.retry.clone()),
            irreversible: self.irreversible.or_else(unless_undone),
            version: self.version.or_else(|| all.version.clone()),
            audit_type: self.audit_type.or_else(|| all.audit_type.clone()),
            risk: self.risk.or(all.risk),
            cost_usd: self.cost_usd.or(all.cost_usd),
            rate: self.rate.or(all.rate),
            cache_seconds: self.cache_seconds.or(all.cache_seconds),
            on_unavailable,
            stand_in,
            ..self
        }
    }

    /// Fills unset fields with the defaults of the source.
    pub(crate) fn with_defaults(self, mut said: ProfileDefaults) -> Self {
        let class = self.class.unwrap_or(said.class);
        let is_unsaid = self.compensation.is_none() && self.irreversible.is_none();
        said.description.truncate(said.description.floor_char_boundary(DESCRIPTION_BYTES_MAX));
        Self {
            description: if self.description.is_empty() { said.description } else { self.description },
            category: self.category.or(said.category),
            class: Some(class),
            risk: self.risk.or(Some(said.risk)),
            parameters: if self.parameters.is_null() { said.parameters } else { self.parameters },
            output_schema: self.output_schema.or(said.output_schema),
            version: self.version.or(said.version),
            timeout_ms: self.timeout_ms.or(said.timeout_ms),
            irreversible: match class.has_side_effects() && is_unsaid {
                true => Some(said.irreversible.to_owned()),
                false => self.irreversible.filter(|_| class.has_side_effects()),
            },
            ..self
        }
    }

    /// Returns the first field set that is only allowed for a single tool.
    pub(crate) fn per_tool_field(&self) -> Option<&'static str> {
        let said = [
            ("class", self.class.is_some()),
            ("compensation", self.compensation.is_some()),
            ("parameters", !self.parameters.is_null()),
            ("output_schema", self.output_schema.is_some()),
            ("output_fields", !self.output_fields.is_empty()),
        ];
        said.into_iter().find_map(|(name, is_said)| is_said.then_some(name))
    }

    /// Creates the catalogue entry.
    pub(crate) fn entry(self, provider: &'static str, tool: std::sync::Arc<dyn ToolHandler>) -> ToolEntry {
        let class = self.class.unwrap_or(EffectClass::Once);
        let facts = ToolContract {
            retry: self.retry.unwrap_or_default(),
            compensation: self.compensation,
            irreversible: self.irreversible,
            parameters: self.parameters,
            description: self.description,
            output_fields: self.output_fields,
            on_unavailable: self.on_unavailable,
            stand_in: self.stand_in,
            ..ToolContract::new(class, self.timeout_ms.map_or(TIMEOUT, Duration::from_millis))
        };
        let risk = self.risk.unwrap_or(if class.has_side_effects() { ToolRisk::Medium } else { ToolRisk::Low });
        let audit_type = self.audit_type.unwrap_or_else(|| "tool_execution".to_owned());
        let category = self.category.unwrap_or_else(|| "custom".to_owned());
        ToolEntry::new(&self.name, category, provider, ActionSpec::new(facts, audit_type, risk), tool)
            .with_cost(Usd::from_f64(self.cost_usd.unwrap_or_default()))
            .with_rate(self.rate.unwrap_or(CallRate::Free))
            .with_cache(self.cache_seconds.map(Duration::from_secs))
            .with_output_schema(self.output_schema)
            .with_source_version(self.version)
    }
}
