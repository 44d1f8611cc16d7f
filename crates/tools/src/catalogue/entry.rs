//! One tool: what is known of it, and how it is performed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::money::Usd;
use baton_core::tool::Facts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::Schema;
use crate::config::Tuning;
use crate::rate::Rate;
use crate::tool::Tool;

/// How much harm a wrong call can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Only asks.
    Low,
    /// Can be undone, or reaches a person who can ignore it.
    Medium,
    /// Moves money, or nobody can say what it does.
    High,
}

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
}

impl Variant {
    fn new(action: Action) -> Self {
        Self {
            audit_type: action.audit_type,
            risk: action.risk,
            compensable: action.facts.compensation.is_some(),
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
    pub(crate) category: Cow<'static, str>,
    /// Who performs it: `internal`, `outbox`, `smtp`, `script`, `http`.
    pub(crate) provider: &'static str,
    pub(crate) facts: Facts,
    pub(crate) cost: Usd,
    /// How often one tenant may call it.
    pub(crate) rate: Option<Rate>,
    /// How long an answer holds.
    pub(crate) cache: Option<Duration>,
    pub(crate) tool: Arc<dyn Tool>,
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
        Self {
            name: name.into(),
            base: name.into(),
            category: category.into(),
            provider,
            facts: whole.facts.clone(),
            cost: Usd::ZERO,
            rate: None,
            cache: None,
            tool,
            fixed: Map::new(),
            whole: Arc::new(Variant::new(whole)),
            actions: BTreeMap::new(),
        }
    }

    /// Adds actions, told apart by the argument that the facts name.
    pub(crate) fn with_actions(mut self, actions: impl IntoIterator<Item = (&'static str, Action)>) -> Self {
        for (name, action) in actions {
            self.facts.actions.insert(name.to_owned(), action.facts.clone());
            self.actions.insert(name.to_owned(), Arc::new(Variant::new(action)));
        }
        self
    }

    pub(crate) fn costing(self, cost: Usd) -> Self {
        Self { cost, ..self }
    }

    pub(crate) fn at_most(self, rate: Rate) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// How long an answer is kept, where it is.
    pub(crate) fn holding(self, cache: Option<Duration>) -> Self {
        Self { cache, ..self }
    }

    /// What the settings say of the tool for everybody.
    pub(crate) fn tuned(mut self, tuning: &Tuning) -> Self {
        if let Some(timeout) = tuning.timeout_ms.map(Duration::from_millis) {
            self.facts.timeout = timeout;
            self.facts.actions.values_mut().for_each(|facts| facts.timeout = timeout);
        }
        self.cost = tuning.cost_usd.map_or(self.cost, Usd::from_f64);
        self
    }

    /// What holds for a call with these arguments.
    pub(crate) fn variant(&self, arguments: &Value) -> &Variant {
        let action = arguments.get(&*self.facts.told_by).and_then(Value::as_str);
        action.and_then(|action| self.actions.get(action)).unwrap_or(&self.whole)
    }

    pub(super) fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// The same tool, always performing this action, which then need not be among the arguments.
    pub(super) fn always(mut self, action: &str) -> Self {
        let told_by = self.facts.told_by.clone();
        if let Some(facts) = self.facts.actions.remove(action) {
            self.facts = Facts { told_by: told_by.clone(), ..facts };
            leave_out(&mut self.facts.parameters, &told_by);
        }
        self.fixed = Map::from_iter([(told_by.into_owned(), Value::from(action))]);
        self
    }

    pub(crate) fn description(&self) -> Description {
        let variant = match self.fixed.is_empty() {
            true => &self.whole,
            false => self.variant(&Value::Object(self.fixed.clone())),
        };
        Description {
            name: self.name.to_string(),
            category: self.category.to_string(),
            provider: self.provider,
            audit_type: variant.audit_type.to_string(),
            compensable: variant.compensable,
            risk: variant.risk,
            cost_usd: self.cost.as_f64(),
            facts: self.facts.clone(),
        }
    }
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

/// A tool as lists and pages show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    pub name: String,
    pub category: String,
    pub provider: &'static str,
    pub audit_type: String,
    /// Whether what it does can be undone by another tool.
    pub compensable: bool,
    pub risk: Risk,
    /// The price of one call.
    pub cost_usd: f64,
    pub facts: Facts,
}
