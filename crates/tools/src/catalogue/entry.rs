//! One tool: what is known of it, and how it is performed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::canonical;
use baton_core::money::Usd;
use baton_core::tool::{Call, Class, Facts, OnUnavailable};
use baton_ports::catalogue::{Acting, Described, Description, Offered, Risk};
use serde_json::{Map, Value, json};

use super::identity::Identity;
use super::performer::{Lack, Performer};
use crate::by_tenant::ByTenant;
use crate::check::Schema;
use crate::config::Tuning;
use crate::rate::Rate;
use crate::tool::Tool;

/// What is said of one action of a tool, or of a tool without actions.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) facts: Facts,
    pub(crate) audit_type: Cow<'static, str>,
    pub(crate) risk: Risk,
}

impl Action {
    pub(crate) fn new(facts: Facts, audit_type: impl Into<Cow<'static, str>>, risk: Risk) -> Self {
        Self { facts, audit_type: audit_type.into(), risk }
    }
}

/// An action, ready for calls.
pub(crate) struct Variant {
    pub(crate) audit_type: Cow<'static, str>,
    pub(crate) risk: Risk,
    pub(crate) compensable: bool,
    pub(crate) schema: Schema,
    /// The least that any provider promises of it.
    class: Class,
}

impl Variant {
    fn new(action: Action) -> Self {
        Self {
            audit_type: action.audit_type,
            risk: action.risk,
            compensable: action.facts.compensation.is_some(),
            class: action.facts.class,
            schema: Schema::new(action.facts.parameters),
        }
    }
}

/// A tool of the catalogue. Cheap to clone: schemas are shared, and compiled once for all names of a tool.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    /// The tool this is a preset of, else its own name.
    pub(crate) base: Arc<str>,
    /// Another tool that takes its name, defined anew or by another source, has another.
    pub(crate) identity: Identity,
    pub(crate) category: Cow<'static, str>,
    /// Shared with lists, which would else copy a schema for each tool.
    pub(crate) facts: Arc<Facts>,
    /// Who performs it for whom.
    performers: Arc<ByTenant<Performer>>,
    /// Who performs it where the run says so by name: the provider that the settings choose is down.
    others: BTreeMap<String, Arc<ByTenant<Performer>>>,
    /// Whom it could be performed by.
    offered: &'static [Offered],
    /// How often one tenant may call it.
    pub(crate) rate: Option<Rate>,
    /// How often one tenant may call it and those that count with it, under their name.
    pub(crate) group_rate: Option<(Arc<str>, Rate)>,
    /// How long an answer holds.
    pub(crate) cache: Option<Duration>,
    /// The MCP server it is of.
    pub(crate) source: Option<Arc<str>>,
    /// JSON Schema of what it answers with.
    output_schema: Option<Arc<Value>>,
    /// Which edition of it this is, as whoever makes it says.
    edition: Option<Arc<str>>,
    /// Arguments that a preset always has.
    pub(crate) fixed: Map<String, Value>,
    whole: Arc<Variant>,
    actions: BTreeMap<String, Arc<Variant>>,
}

impl Entry {
    pub(crate) fn new(
        name: &str,
        category: impl Into<Cow<'static, str>>,
        provider: &'static str,
        whole: Action,
        tool: Arc<dyn Tool>,
    ) -> Self {
        let performer = Performer::new(provider, whole.facts.class, tool);
        Self::by(name, category, ByTenant::shared(performer), whole)
    }

    /// A tool whose provider the settings choose, perhaps another for each tenant. Its facts are pinned with versions and
    /// hold for all of them, so the class is that of the provider that can promise least.
    pub(crate) fn by(
        name: &str,
        category: impl Into<Cow<'static, str>>,
        performers: ByTenant<Performer>,
        mut whole: Action,
    ) -> Self {
        let least = performers.each().map(|performer| performer.class).max();
        whole.facts.class = least.unwrap_or(whole.facts.class);
        Self {
            name: name.into(),
            base: name.into(),
            identity: Identity::of_process(),
            category: category.into(),
            facts: Arc::new(whole.facts.clone()),
            performers: Arc::new(performers),
            others: BTreeMap::new(),
            offered: &[],
            rate: None,
            group_rate: None,
            cache: None,
            source: None,
            output_schema: None,
            edition: None,
            fixed: Map::new(),
            whole: Arc::new(Variant::new(whole)),
            actions: BTreeMap::new(),
        }
    }

    /// Adds actions, told apart by the argument that the facts name.
    pub(crate) fn with_actions(mut self, actions: impl IntoIterator<Item = (&'static str, Action)>) -> Self {
        let facts = Arc::make_mut(&mut self.facts);
        for (name, action) in actions {
            facts.actions.insert(name.to_owned(), action.facts.clone());
            self.actions.insert(name.to_owned(), Arc::new(Variant::new(action)));
        }
        self
    }

    /// A price whoever performs it.
    pub(crate) fn costing(mut self, cost: Usd) -> Self {
        Arc::make_mut(&mut self.performers).each_mut().for_each(|performer| performer.cost = cost);
        self
    }

    pub(crate) fn identified(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    pub(crate) fn offered_by(self, offered: &'static [Offered]) -> Self {
        Self { offered, ..self }
    }

    /// Who performs this call: the provider that it names, else the one that the settings choose.
    pub(crate) fn performer_of(&self, call: &Call) -> &Performer {
        let other = call.provider.as_ref().and_then(|name| self.others.get(name));
        other.unwrap_or(&self.performers).of(&call.tenant)
    }

    /// What the tool does while its service is down, in all its actions, whatever they said before.
    pub(crate) fn standing(mut self, way: &OnUnavailable) -> Self {
        stand(Arc::make_mut(&mut self.facts), way);
        self
    }

    /// What one action does then, and what stands in for its answer.
    pub(crate) fn action_standing(mut self, action: &str, way: OnUnavailable, stand_in: &Value) -> Self {
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
    pub(crate) fn or_by(mut self, name: &str, other: &Self) -> Result<Self, String> {
        if self.performers.for_all().provider == other.performers.for_all().provider {
            return Err(format!("`{name}` is whom the settings choose already"));
        }
        let pairs = self.facts.actual().into_iter().zip(other.facts.actual());
        if let Some((own, theirs)) = pairs.into_iter().find(|(own, theirs)| theirs.class > own.class) {
            let (own, theirs) = (json!(own.class), json!(theirs.class));
            return Err(format!("calls are {own}, and `{name}` can only promise {theirs}"));
        }
        self.others.insert(name.to_owned(), other.performers.clone());
        Ok(self)
    }

    /// Whether a run may name this provider.
    pub(crate) fn is_offered_by(&self, provider: &str) -> bool {
        self.others.contains_key(provider)
    }

    /// What the provider that the settings choose now makes of a call whose outcome nobody knows; nothing where there is
    /// no choice. Of several actions each has its own class: a provider can promise less of one, and never needs to of
    /// the others.
    pub(crate) fn class_now(&self, call: &Call) -> Option<Class> {
        let by_provider = self.performer_of(call).class;
        let variant = self.variant(&call.arguments);
        (!self.offered.is_empty())
            .then(|| if self.actions.is_empty() { by_provider } else { by_provider.min(variant.class) })
    }

    /// The most that a call of it costs, whoever it is for.
    pub(crate) fn cost_at_most(&self) -> Usd {
        self.performers.each().map(|performer| performer.cost).max().unwrap_or(Usd::ZERO)
    }

    /// With the price among the facts: what is held against limits while a call is out.
    pub(super) fn priced(mut self) -> Self {
        let cost = self.cost_at_most();
        if self.facts.actual().iter().any(|facts| facts.cost != cost) || self.facts.cost != cost {
            self.facts = Arc::new(Facts::clone(&self.facts).costing(cost));
        }
        self
    }

    /// Settings that its providers lack.
    pub(crate) fn lacks(&self) -> impl Iterator<Item = Lack> {
        self.performers.each().filter_map(|performer| {
            let setting = performer.lacks.clone()?;
            Some(Lack { tool: self.name.to_string(), provider: performer.provider, setting })
        })
    }

    pub(crate) fn at_most(self, rate: Rate) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// Counts with the other tools of a group, beside its own rate.
    pub(crate) fn together_at_most(self, group: Arc<str>, rate: Rate) -> Self {
        Self { group_rate: Some((group, rate)), ..self }
    }

    /// How long an answer is kept, where it is.
    pub(crate) fn holding(self, cache: Option<Duration>) -> Self {
        Self { cache, ..self }
    }

    pub(crate) fn answering(self, output_schema: Option<Arc<Value>>) -> Self {
        Self { output_schema, ..self }
    }

    pub(crate) fn of_version(self, version: Option<String>) -> Self {
        Self { edition: version.map(Into::into), ..self }
    }

    pub(crate) fn of_source(self, source: &str) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What the settings say of the tool for everybody.
    pub(crate) fn tuned(mut self, tuning: &Tuning) -> Self {
        if let Some(timeout) = tuning.timeout_ms.map(Duration::from_millis) {
            let facts = Arc::make_mut(&mut self.facts);
            facts.timeout = timeout;
            facts.actions.values_mut().for_each(|facts| facts.timeout = timeout);
        }
        if let Some(way) = &tuning.on_unavailable {
            self = self.standing(way);
        }
        // What a tenant has of its own comes before these.
        self.rate = tuning.rate.or(self.rate);
        self.cache = tuning.cache_seconds.map(Duration::from_secs).or(self.cache);
        match tuning.cost_usd {
            Some(cost) => self.costing(Usd::from_f64(cost)),
            None => self,
        }
    }

    /// What holds for a call with these arguments.
    pub(crate) fn variant(&self, arguments: &Value) -> &Variant {
        let action = arguments.get(&*self.facts.told_by).and_then(Value::as_str);
        action.and_then(|action| self.actions.get(action)).unwrap_or(&self.whole)
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
    pub(super) fn always(mut self, action: &str) -> Self {
        let told_by = self.facts.told_by.clone();
        if let Some(facts) = self.facts.actions.get(action).cloned() {
            let mut facts = Facts { told_by: told_by.clone(), ..facts };
            leave_out(&mut facts.parameters, &told_by);
            self.facts = Arc::new(facts);
        }
        self.fixed = Map::from_iter([(told_by.into_owned(), Value::from(action))]);
        self
    }

    /// Of what it does, as far as can be seen: another definition under the same name has another.
    pub(crate) fn version(&self) -> Hash {
        // What it costs is no part of what it does.
        let facts = Facts::clone(&self.facts).costing(Usd::ZERO);
        let facts = serde_json::to_value(&facts).unwrap_or_default();
        let said = json!({ "base": self.base, "facts": facts, "fixed": self.fixed });
        Hash::of(canonical::text(&said).as_bytes())
    }

    /// Nothing where it does one thing, or always the same.
    fn acting(&self) -> BTreeMap<String, Acting> {
        if !self.fixed.is_empty() {
            return BTreeMap::new();
        }
        self.actions.iter().map(|(action, variant)| (action.to_string(), variant.acting())).collect()
    }

    pub(crate) fn description(&self) -> Description {
        let variant = match self.fixed.is_empty() {
            true => &self.whole,
            false => self.variant(&Value::Object(self.fixed.clone())),
        };
        Description::from(Described {
            name: self.name.clone(),
            category: self.category.clone(),
            provider: self.performers.for_all().provider,
            providers: self.offered.to_vec(),
            audit_type: variant.audit_type.clone(),
            compensable: variant.compensable,
            risk: variant.risk,
            cost_usd: self.performers.for_all().cost.as_f64(),
            rate: self.rate.filter(|rate| *rate != Rate::Free).map(|rate| rate.to_string().into()),
            cache_seconds: self.cache.map(|cache| cache.as_secs()).filter(|seconds| *seconds > 0),
            version: self.edition.clone(),
            output_schema: self.output_schema.clone(),
            facts: self.facts.clone(),
            actions: self.acting(),
        })
    }
}

impl Variant {
    fn acting(&self) -> Acting {
        Acting { audit_type: self.audit_type.clone(), compensable: self.compensable, risk: self.risk }
    }
}

fn stand(facts: &mut Facts, way: &OnUnavailable) {
    facts.on_unavailable = Some(way.clone());
    facts.actions.values_mut().for_each(|facts| stand(facts, way));
}

/// Takes a property out of a schema.
fn leave_out(schema: &mut Value, property: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(property);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != property);
    }
}
