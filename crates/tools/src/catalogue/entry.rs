//! One tool of the catalogue: its facts, and the providers that perform it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::canonical;
use baton_core::money::Usd;
use baton_core::tool::{EffectClass, OnUnavailable, ToolContract, ToolInvocation};
use baton_ports::catalogue::{ActionDescription, DescriptionFields, ProviderOption, ToolDescription, ToolRisk};
use serde_json::{Map, Value, json};

use super::identity::ToolIdentity;
use super::performer::{ToolPerformer, UnavailableProvider};
use crate::by_tenant::ByTenant;
use crate::check::ArgumentSchema;
use crate::config::ToolSettings;
use crate::rate::CallRate;
use crate::tool::ToolHandler;

/// The specification of one action of a tool, or of a tool without actions.
#[derive(Clone, Debug)]
pub(crate) struct ActionSpec {
    pub(crate) facts: ToolContract,
    pub(crate) audit_type: Cow<'static, str>,
    pub(crate) risk: ToolRisk,
}

impl ActionSpec {
    pub(crate) fn new(facts: ToolContract, audit_type: impl Into<Cow<'static, str>>, risk: ToolRisk) -> Self {
        Self { facts, audit_type: audit_type.into(), risk }
    }
}

/// An action that is ready for calls.
pub(crate) struct ActionVariant {
    pub(crate) audit_type: Cow<'static, str>,
    pub(crate) risk: ToolRisk,
    pub(crate) compensable: bool,
    pub(crate) schema: ArgumentSchema,
    /// The weakest class that any provider of the action promises.
    class: EffectClass,
}

impl ActionVariant {
    fn new(action: ActionSpec) -> Self {
        Self {
            audit_type: action.audit_type,
            risk: action.risk,
            compensable: action.facts.compensation.is_some(),
            class: action.facts.class,
            schema: ArgumentSchema::new(action.facts.parameters),
        }
    }
}

/// A tool of the catalogue. Cheap to clone: schemas are shared, and compiled once for all names of a tool.
#[derive(Clone)]
pub(crate) struct ToolEntry {
    pub(crate) name: Arc<str>,
    /// The tool this is a preset of, else its own name.
    pub(crate) base: Arc<str>,
    /// Identifies this definition of the tool. A later definition of the same name, or one from another source, has
    /// another identity.
    pub(crate) identity: ToolIdentity,
    pub(crate) category: Cow<'static, str>,
    /// Shared with lists, which would otherwise copy a schema for each tool.
    pub(crate) facts: Arc<ToolContract>,
    /// The provider that performs the tool, by tenant.
    performers: Arc<ByTenant<ToolPerformer>>,
    /// Alternative providers by name, used if the run names one because the configured provider is down.
    alternatives: BTreeMap<String, Arc<ByTenant<ToolPerformer>>>,
    /// The providers that could perform it.
    offers: &'static [ProviderOption],
    /// How often one tenant may call it.
    pub(crate) rate: Option<CallRate>,
    /// The group's name and rate: how often one tenant may call all tools of the group together.
    pub(crate) group_rate: Option<(Arc<str>, CallRate)>,
    /// How long a result stays in the cache.
    pub(crate) cache: Option<Duration>,
    /// The MCP server that the tool belongs to.
    pub(crate) source: Option<Arc<str>>,
    /// JSON Schema of the tool's output.
    output_schema: Option<Arc<Value>>,
    /// The tool's version as its source states it.
    source_version: Option<Arc<str>>,
    /// Arguments that a preset always sets.
    pub(crate) fixed: Map<String, Value>,
    default_action: Arc<ActionVariant>,
    actions: BTreeMap<String, Arc<ActionVariant>>,
}

impl ToolEntry {
    pub(crate) fn new(
        name: &str,
        category: impl Into<Cow<'static, str>>,
        provider: &'static str,
        whole: ActionSpec,
        tool: Arc<dyn ToolHandler>,
    ) -> Self {
        let performer = ToolPerformer::new(provider, whole.facts.class, tool);
        Self::with_performers(name, category, ByTenant::uniform(performer), whole)
    }

    /// Creates a tool whose provider the settings choose, possibly a different one for each tenant. Its facts are
    /// pinned with versions and hold for all tenants, so the class is that of the provider with the weakest promise.
    pub(crate) fn with_performers(
        name: &str,
        category: impl Into<Cow<'static, str>>,
        performers: ByTenant<ToolPerformer>,
        mut whole: ActionSpec,
    ) -> Self {
        let least = performers.values().map(|performer| performer.class).max();
        whole.facts.class = least.unwrap_or(whole.facts.class);
        Self {
            name: name.into(),
            base: name.into(),
            identity: ToolIdentity::of_process(),
            category: category.into(),
            facts: Arc::new(whole.facts.clone()),
            performers: Arc::new(performers),
            alternatives: BTreeMap::new(),
            offers: &[],
            rate: None,
            group_rate: None,
            cache: None,
            source: None,
            output_schema: None,
            source_version: None,
            fixed: Map::new(),
            default_action: Arc::new(ActionVariant::new(whole)),
            actions: BTreeMap::new(),
        }
    }

    /// Adds actions, selected by the argument that the facts name.
    pub(crate) fn with_actions(mut self, actions: impl IntoIterator<Item = (&'static str, ActionSpec)>) -> Self {
        let facts = Arc::make_mut(&mut self.facts);
        for (name, action) in actions {
            facts.actions.insert(name.to_owned(), action.facts.clone());
            self.actions.insert(name.to_owned(), Arc::new(ActionVariant::new(action)));
        }
        self
    }

    /// Sets a price that holds for every provider.
    pub(crate) fn with_cost(mut self, cost: Usd) -> Self {
        Arc::make_mut(&mut self.performers).values_mut().for_each(|performer| performer.cost = cost);
        self
    }

    pub(crate) fn with_identity(self, identity: ToolIdentity) -> Self {
        Self { identity, ..self }
    }

    pub(crate) fn with_offers(self, offered: &'static [ProviderOption]) -> Self {
        Self { offers: offered, ..self }
    }

    /// Returns the provider of this call: the one that the call names, or else the configured one.
    pub(crate) fn performer_of(&self, call: &ToolInvocation) -> &ToolPerformer {
        let other = call.provider.as_ref().and_then(|name| self.alternatives.get(name));
        other.unwrap_or(&self.performers).of(&call.tenant)
    }

    /// Sets what the tool does while its service is down, for all its actions, replacing any earlier policy.
    pub(crate) fn with_outage_policy(mut self, way: &OnUnavailable) -> Self {
        apply_outage_policy(Arc::make_mut(&mut self.facts), way);
        self
    }

    /// Sets what one action does while the service is down, and the stand-in result.
    pub(crate) fn with_action_outage_policy(mut self, action: &str, way: OnUnavailable, stand_in: &Value) -> Self {
        let facts = Arc::make_mut(&mut self.facts);
        let facts = match action {
            "" => Some(facts),
            action => facts.actions.get_mut(action),
        };
        if let Some(facts) = facts {
            facts.on_unavailable = Some(way);
            facts.stand_in = stand_in.as_object().cloned().unwrap_or_default();
        }
        self
    }

    /// Adds the same tool, configured with another provider, as an alternative under that provider's name. The error
    /// states what the other provider cannot promise.
    pub(crate) fn with_alternative(mut self, name: &str, other: &Self) -> Result<Self, String> {
        if self.performers.default_value().provider == other.performers.default_value().provider {
            return Err(format!("`{name}` is whom the settings choose already"));
        }
        let pairs = self.facts.flattened_actions().into_iter().zip(other.facts.flattened_actions());
        if let Some((own, theirs)) = pairs.into_iter().find(|(own, theirs)| theirs.class > own.class) {
            let (own, theirs) = (json!(own.class), json!(theirs.class));
            return Err(format!("calls are {own}, and `{name}` can only promise {theirs}"));
        }
        self.alternatives.insert(name.to_owned(), other.performers.clone());
        Ok(self)
    }

    /// Returns whether a run may name this provider.
    pub(crate) fn has_alternative(&self, provider: &str) -> bool {
        self.alternatives.contains_key(provider)
    }

    /// The class that the currently configured provider gives a call whose outcome is unknown. `None` if the provider
    /// is not configurable. With several actions, each has its own class: a provider can promise less for one action
    /// without lowering the others.
    pub(crate) fn current_class(&self, call: &ToolInvocation) -> Option<EffectClass> {
        let by_provider = self.performer_of(call).class;
        let variant = self.variant(&call.arguments);
        (!self.offers.is_empty())
            .then(|| if self.actions.is_empty() { by_provider } else { by_provider.min(variant.class) })
    }

    /// The highest price of one call, across all tenants.
    pub(crate) fn max_cost(&self) -> Usd {
        self.performers.values().map(|performer| performer.cost).max().unwrap_or(Usd::ZERO)
    }

    /// Records the highest price among the facts. It is reserved against cost limits while a call is in flight.
    pub(super) fn with_max_cost(mut self) -> Self {
        let cost = self.max_cost();
        if self.facts.flattened_actions().iter().any(|facts| facts.cost != cost) || self.facts.cost != cost {
            self.facts = Arc::new(ToolContract::clone(&self.facts).with_cost(cost));
        }
        self
    }

    /// Settings that its providers lack.
    pub(crate) fn unavailable_providers(&self) -> impl Iterator<Item = UnavailableProvider> {
        self.performers.values().filter_map(|performer| {
            let setting = performer.missing_setting.clone()?;
            Some(UnavailableProvider { tool: self.name.to_string(), provider: performer.provider, setting })
        })
    }

    pub(crate) fn with_rate(self, rate: CallRate) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// Counts calls with the other tools of a group, in addition to the tool's own rate.
    pub(crate) fn with_group_rate(self, group: Arc<str>, rate: CallRate) -> Self {
        Self { group_rate: Some((group, rate)), ..self }
    }

    /// Sets how long results are cached. `None` disables the cache.
    pub(crate) fn with_cache(self, cache: Option<Duration>) -> Self {
        Self { cache, ..self }
    }

    pub(crate) fn with_output_schema(self, output_schema: Option<Arc<Value>>) -> Self {
        Self { output_schema, ..self }
    }

    pub(crate) fn with_source_version(self, version: Option<String>) -> Self {
        Self { source_version: version.map(Into::into), ..self }
    }

    pub(crate) fn with_source(self, source: &str) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Applies the settings of the tool that hold for all tenants.
    pub(crate) fn with_settings(mut self, tuning: &ToolSettings) -> Self {
        if let Some(timeout) = tuning.timeout_ms.map(Duration::from_millis) {
            let facts = Arc::make_mut(&mut self.facts);
            facts.timeout = timeout;
            facts.actions.values_mut().for_each(|facts| facts.timeout = timeout);
        }
        if let Some(way) = &tuning.on_unavailable {
            self = self.with_outage_policy(way);
        }
        // A tenant's own settings take precedence over these.
        self.rate = tuning.rate.or(self.rate);
        self.cache = tuning.cache_seconds.map(Duration::from_secs).or(self.cache);
        match tuning.cost_usd {
            Some(cost) => self.with_cost(Usd::from_f64(cost)),
            None => self,
        }
    }

    /// Returns the action variant that applies to a call with these arguments.
    pub(crate) fn variant(&self, arguments: &Value) -> &ActionVariant {
        let action = arguments.get(&*self.facts.told_by).and_then(Value::as_str);
        action.and_then(|action| self.actions.get(action)).unwrap_or(&self.default_action)
    }

    /// Returns the action that a call with these arguments selects, if the tool has several.
    pub(super) fn action<'a>(&'a self, arguments: &'a Value) -> Option<&'a str> {
        let told_by = &*self.facts.told_by;
        self.fixed.get(told_by).or_else(|| arguments.get(told_by)).and_then(Value::as_str)
    }

    pub(super) fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// Returns the same tool with the action fixed, so that it is no longer among the arguments.
    pub(super) fn with_fixed_action(mut self, action: &str) -> Self {
        let told_by = self.facts.told_by.clone();
        if let Some(facts) = self.facts.actions.get(action).cloned() {
            let mut facts = ToolContract { told_by: told_by.clone(), ..facts };
            remove_property(&mut facts.parameters, &told_by);
            self.facts = Arc::new(facts);
        }
        self.fixed = Map::from_iter([(told_by.into_owned(), Value::from(action))]);
        self
    }

    /// A hash of the tool's visible behaviour: another definition under the same name has another hash.
    pub(crate) fn version(&self) -> ContentHash {
        // The price is not part of the behaviour.
        let facts = ToolContract::clone(&self.facts).with_cost(Usd::ZERO);
        let facts = serde_json::to_value(&facts).unwrap_or_default();
        let said = json!({ "base": self.base, "facts": facts, "fixed": self.fixed });
        ContentHash::of(canonical::text(&said).as_bytes())
    }

    /// The facts by action. Empty if the tool has one action, or a fixed one.
    fn action_facts(&self) -> BTreeMap<String, ActionDescription> {
        if !self.fixed.is_empty() {
            return BTreeMap::new();
        }
        self.actions.iter().map(|(action, variant)| (action.to_string(), variant.acting())).collect()
    }

    pub(crate) fn description(&self) -> ToolDescription {
        let variant = match self.fixed.is_empty() {
            true => &self.default_action,
            false => self.variant(&Value::Object(self.fixed.clone())),
        };
        ToolDescription::from(DescriptionFields {
            name: self.name.clone(),
            category: self.category.clone(),
            provider: self.performers.default_value().provider,
            providers: self.offers.to_vec(),
            audit_type: variant.audit_type.clone(),
            compensable: variant.compensable,
            risk: variant.risk,
            cost_usd: self.performers.default_value().cost.as_f64(),
            rate: self.rate.filter(|rate| *rate != CallRate::Free).map(|rate| rate.to_string().into()),
            cache_seconds: self.cache.map(|cache| cache.as_secs()).filter(|seconds| *seconds > 0),
            version: self.source_version.clone(),
            output_schema: self.output_schema.clone(),
            facts: self.facts.clone(),
            actions: self.action_facts(),
        })
    }
}

impl ActionVariant {
    fn acting(&self) -> ActionDescription {
        ActionDescription { audit_type: self.audit_type.clone(), compensable: self.compensable, risk: self.risk }
    }
}

fn apply_outage_policy(facts: &mut ToolContract, way: &OnUnavailable) {
    facts.on_unavailable = Some(way.clone());
    facts.actions.values_mut().for_each(|facts| apply_outage_policy(facts, way));
}

/// Removes a property from a schema.
fn remove_property(schema: &mut Value, property: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(property);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != property);
    }
}
