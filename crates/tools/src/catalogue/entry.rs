//! One tool: what is known of it, and how it is performed.

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

/// What is said of one action of a tool, or of a tool without actions.
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

/// An action, ready for calls.
pub(crate) struct ActionVariant {
    pub(crate) audit_type: Cow<'static, str>,
    pub(crate) risk: ToolRisk,
    pub(crate) compensable: bool,
    pub(crate) schema: ArgumentSchema,
    /// The least that any provider promises of it.
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
    /// Another tool that takes its name, defined anew or by another source, has another.
    pub(crate) identity: ToolIdentity,
    pub(crate) category: Cow<'static, str>,
    /// Shared with lists, which would else copy a schema for each tool.
    pub(crate) facts: Arc<ToolContract>,
    /// Who performs it for whom.
    performers: Arc<ByTenant<ToolPerformer>>,
    /// Who performs it where the run says so by name: the provider that the settings choose is down.
    alternatives: BTreeMap<String, Arc<ByTenant<ToolPerformer>>>,
    /// Whom it could be performed by.
    offers: &'static [ProviderOption],
    /// How often one tenant may call it.
    pub(crate) rate: Option<CallRate>,
    /// How often one tenant may call it and those that count with it, under their name.
    pub(crate) group_rate: Option<(Arc<str>, CallRate)>,
    /// How long an answer holds.
    pub(crate) cache: Option<Duration>,
    /// The MCP server it is of.
    pub(crate) source: Option<Arc<str>>,
    /// JSON Schema of what it answers with.
    output_schema: Option<Arc<Value>>,
    /// Which edition of it this is, as whoever makes it says.
    source_version: Option<Arc<str>>,
    /// Arguments that a preset always has.
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

    /// A tool whose provider the settings choose, perhaps another for each tenant. Its facts are pinned with versions and
    /// hold for all of them, so the class is that of the provider that can promise least.
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

    /// Adds actions, told apart by the argument that the facts name.
    pub(crate) fn with_actions(mut self, actions: impl IntoIterator<Item = (&'static str, ActionSpec)>) -> Self {
        let facts = Arc::make_mut(&mut self.facts);
        for (name, action) in actions {
            facts.actions.insert(name.to_owned(), action.facts.clone());
            self.actions.insert(name.to_owned(), Arc::new(ActionVariant::new(action)));
        }
        self
    }

    /// A price whoever performs it.
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

    /// Who performs this call: the provider that it names, else the one that the settings choose.
    pub(crate) fn performer_of(&self, call: &ToolInvocation) -> &ToolPerformer {
        let other = call.provider.as_ref().and_then(|name| self.alternatives.get(name));
        other.unwrap_or(&self.performers).of(&call.tenant)
    }

    /// What the tool does while its service is down, in all its actions, whatever they said before.
    pub(crate) fn with_outage_policy(mut self, way: &OnUnavailable) -> Self {
        apply_outage_policy(Arc::make_mut(&mut self.facts), way);
        self
    }

    /// What one action does then, and what stands in for its answer.
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

    /// The same tool as the settings would have it with another provider may be asked by that provider's name.
    /// The error says what that provider cannot promise.
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

    /// Whether a run may name this provider.
    pub(crate) fn has_alternative(&self, provider: &str) -> bool {
        self.alternatives.contains_key(provider)
    }

    /// What the provider that the settings choose now makes of a call whose outcome nobody knows; nothing where there is
    /// no choice. Of several actions each has its own class: a provider can promise less of one, and never needs to of
    /// the others.
    pub(crate) fn current_class(&self, call: &ToolInvocation) -> Option<EffectClass> {
        let by_provider = self.performer_of(call).class;
        let variant = self.variant(&call.arguments);
        (!self.offers.is_empty())
            .then(|| if self.actions.is_empty() { by_provider } else { by_provider.min(variant.class) })
    }

    /// The most that a call of it costs, whoever it is for.
    pub(crate) fn max_cost(&self) -> Usd {
        self.performers.values().map(|performer| performer.cost).max().unwrap_or(Usd::ZERO)
    }

    /// With the price among the facts: what is held against limits while a call is out.
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

    /// Counts with the other tools of a group, beside its own rate.
    pub(crate) fn with_group_rate(self, group: Arc<str>, rate: CallRate) -> Self {
        Self { group_rate: Some((group, rate)), ..self }
    }

    /// How long an answer is kept, where it is.
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

    /// What the settings say of the tool for everybody.
    pub(crate) fn with_settings(mut self, tuning: &ToolSettings) -> Self {
        if let Some(timeout) = tuning.timeout_ms.map(Duration::from_millis) {
            let facts = Arc::make_mut(&mut self.facts);
            facts.timeout = timeout;
            facts.actions.values_mut().for_each(|facts| facts.timeout = timeout);
        }
        if let Some(way) = &tuning.on_unavailable {
            self = self.with_outage_policy(way);
        }
        // What a tenant has of its own comes before these.
        self.rate = tuning.rate.or(self.rate);
        self.cache = tuning.cache_seconds.map(Duration::from_secs).or(self.cache);
        match tuning.cost_usd {
            Some(cost) => self.with_cost(Usd::from_f64(cost)),
            None => self,
        }
    }

    /// What holds for a call with these arguments.
    pub(crate) fn variant(&self, arguments: &Value) -> &ActionVariant {
        let action = arguments.get(&*self.facts.told_by).and_then(Value::as_str);
        action.and_then(|action| self.actions.get(action)).unwrap_or(&self.default_action)
    }

    /// The action that a call with these arguments is for, where there are several.
    pub(super) fn action<'a>(&'a self, arguments: &'a Value) -> Option<&'a str> {
        let told_by = &*self.facts.told_by;
        self.fixed.get(told_by).or_else(|| arguments.get(told_by)).and_then(Value::as_str)
    }

    pub(super) fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// The same tool, always performing this action, which then need not be among the arguments.
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

    /// Of what it does, as far as can be seen: another definition under the same name has another.
    pub(crate) fn version(&self) -> ContentHash {
        // What it costs is no part of what it does.
        let facts = ToolContract::clone(&self.facts).with_cost(Usd::ZERO);
        let facts = serde_json::to_value(&facts).unwrap_or_default();
        let said = json!({ "base": self.base, "facts": facts, "fixed": self.fixed });
        ContentHash::of(canonical::text(&said).as_bytes())
    }

    /// Nothing where it does one thing, or always the same.
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

/// Takes a property out of a schema.
fn remove_property(schema: &mut Value, property: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(property);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != property);
    }
}
