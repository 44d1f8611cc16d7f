//! What agents and tool nodes may call: the tools they name, and those that undo them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Kind;
use super::super::node::{self, ToolSource};
use super::Lowering;
use crate::agent::{self, Agent, CostTier};
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{self as written, Body, Compensation, Part};
use crate::definition::source::{Located, Span};
use crate::expr::{Dialect, Template};
use crate::tool::{Facts, Retry};

/// Tools by name. Facts are shared: a thousand nodes that call one tool hold it once.
pub(super) type Tools = BTreeMap<String, Arc<Facts>>;

/// Agents that may stand in for one.
const FALLBACKS_MAX: usize = 3;

impl Lowering<'_, '_> {
    pub(super) fn agent(&mut self, written: &written::Agent, keeps: bool) -> Kind {
        let mut names = self.named(written).into_iter();
        // That nobody has the capability is said already.
        let Some(own) = names.next() else { return Kind::Trigger };
        let span = written.agent.span();
        let Some(mut node) = self.persona(written, &own, span, keeps) else { return Kind::Trigger };
        let mut fallbacks = Vec::new();
        let mut next = names.next().or_else(|| self.fallback_of(&own, written.fallback.as_ref()));
        let mut known = BTreeSet::from([own]);
        while let Some(name) = next.filter(|name| known.len() <= FALLBACKS_MAX && !known.contains(name)) {
            let named_here = written.fallback.as_ref().filter(|fallback| fallback.value == name);
            fallbacks.extend(self.persona(written, &name, named_here.map_or(span, |fallback| fallback.span), keeps));
            next = names.next().or_else(|| self.fallback_of(&name, None));
            known.insert(name);
        }
        for fallback in &fallbacks {
            let more = fallback.tools.iter().map(|(name, facts)| (name.clone(), facts.clone()));
            node.tools.extend(more);
        }
        node.fallbacks = fallbacks;
        Kind::Agent(Box::new(node))
    }

    /// The agents the node names, or those that have the capability it names, the cheapest first.
    fn named(&mut self, written: &written::Agent) -> Vec<String> {
        let (capability, cost) = match &written.agent {
            written::Who::Named(name) => return vec![name.value.clone()],
            written::Who::Able { capability, cost } => (capability, *cost),
        };
        let able = self
            .catalog
            .agents
            .values()
            .filter(|agent| agent.can(&capability.value) && cost.is_none_or(|most| agent.cost_tier() <= most));
        let mut able: Vec<(CostTier, String)> = able.map(|agent| (agent.cost_tier(), agent.name.clone())).collect();
        able.sort();
        if able.is_empty() {
            let message = format!("no agent has the capability `{}`", shown(&capability.value));
            let known = self.catalog.agents.values().flat_map(|agent| &agent.capabilities).map(String::as_str);
            let unknown = Diagnostic::draft(Code::UnknownAgent, capability.span, message);
            self.findings.push_near(unknown, &capability.value, known);
        }
        able.into_iter().map(|(_, name)| name).collect()
    }

    fn fallback_of(&mut self, agent: &str, written: Option<&Located<String>>) -> Option<String> {
        match written {
            Some(name) => Some(name.value.clone()),
            None => self.catalog.agents.get(agent)?.fallback.clone(),
        }
    }

    /// One agent as it works on this node; `span` is where it is named.
    fn persona(&mut self, written: &written::Agent, name: &str, span: Span, keeps: bool) -> Option<node::AgentNode> {
        let mut agent = self.known_agent(written, name, span);
        let mut offered = Tools::new();
        match &written.tools {
            Some(names) => names.iter().for_each(|name| offered.extend(self.tools(&name.value, name.span, None))),
            None => {
                for name in &agent.tools {
                    offered.extend(self.tools(name, span, Some(&agent.name)));
                }
            }
        }
        self.lend(&mut agent, &mut offered, span);
        let names = offered.keys().cloned().collect();
        if keeps {
            self.keep(&mut offered);
        }
        let tools = self.with_compensations(offered, span);
        let own = |text: &str, what: &str, findings: &mut Findings| match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                let message = format!("the {what} of the agent `{}`: {error}", agent.name);
                findings.push(span.error(Code::Expression, message));
                Template::parse("").ok()
            }
        };
        let prompt = written.prompt.clone().or_else(|| own(&agent.prompt, "prompt", self.findings));
        let system = written.system.as_ref().map(|(_, template)| template.clone());
        let system = system.or_else(|| own(&agent.system_prompt, "system prompt", self.findings));
        let mut spoken = BTreeMap::new();
        for (name, text) in &agent.prompts {
            let language = name.strip_prefix(agent::SYSTEM).and_then(|rest| rest.strip_prefix('.'));
            let parsed = own(text, &format!("prompt `{name}`"), self.findings);
            spoken.extend(language.map(str::to_owned).zip(parsed));
        }
        let (selects, asks, fallbacks) = (written.selects, written.asks.clone(), Vec::new());
        // The empty template parses, so there always are both.
        let (prompt, system) = prompt.zip(system)?;
        Some(node::AgentNode { agent, prompt, system, spoken, tools, offered: names, selects, asks, fallbacks })
    }

    /// Gives an agent the tools by which memory is asked for what its `context_sources` name. Which of them it would not
    /// have otherwise is noted: those are not offered to its model.
    fn lend(&mut self, agent: &mut Agent, offered: &mut Tools, span: Span) {
        let mut lent = Vec::new();
        for tool in agent::context::tools(agent) {
            if offered.contains_key(tool) {
                continue;
            }
            let Some(facts) = self.facts(tool) else {
                let message = format!("there is no tool `{tool}`, so memory adds nothing for `context_sources`");
                self.findings.push(Diagnostic::warning(Code::UnknownTool, span, message));
                continue;
            };
            offered.insert(tool.to_owned(), facts);
            agent.tools.push(tool.to_owned());
            lent.push(tool);
        }
        if !lent.is_empty() {
            agent.metadata.insert(agent::context::LENT.to_owned(), lent.into());
        }
    }

    /// The agent of this name with the node's changes; one that is not there is a plain one without tools.
    fn known_agent(&mut self, written: &written::Agent, name: &str, span: Span) -> Agent {
        let mut agent = match self.catalog.agents.get(name) {
            Some(agent) => {
                self.used.agents.insert(name.to_owned(), agent.clone());
                agent.clone()
            }
            None => {
                let message = format!("there is no agent `{}`", shown(name));
                let unknown = Diagnostic::draft(Code::UnknownAgent, span, message);
                self.findings.push_near(unknown, name, self.catalog.agents.keys().map(String::as_str));
                placeholder(name)
            }
        };
        agent.model_profile = written.profile.or(agent.model_profile);
        agent.model = written.model.clone().or(agent.model);
        agent.temperature = written.temperature.or(agent.temperature);
        agent.max_tokens = written.max_tokens.or(agent.max_tokens);
        agent.max_iterations = written.max_iterations.or(agent.max_iterations);
        agent.max_execution_time = written.max_execution_time.or(agent.max_execution_time);
        agent.output_schema = written.output_schema.clone().or(agent.output_schema);
        if let Some((text, _)) = &written.system {
            agent.system_prompt.clone_from(text);
            agent.prompts.retain(|name, _| !name.starts_with(agent::SYSTEM));
        }
        if let Some(tools) = &written.tools {
            agent.tools = tools.iter().map(|tool| tool.value.clone()).collect();
        }
        agent.metadata.extend(written.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
        agent
    }

    pub(super) fn tool(
        &mut self,
        tool: &written::Tool<'_>,
        policy: &written::Policy<'_>,
        dialect: Dialect,
    ) -> (Kind, Retry) {
        match tool {
            written::Tool::Written { tool, parameters, tree } => {
                let mut facts = self.tools(&tool.value, tool.span, None);
                let own = facts.get(&tool.value).map(|facts| written::own_facts(facts, *tree, dialect));
                let retry = own.map(|facts| facts.retry.clone()).unwrap_or_default();
                match &policy.compensation {
                    Some(Located { value: Compensation::None, .. }) => self.keep(&mut facts),
                    Some(Located { value: Compensation::Undo { tool, .. }, .. }) => {
                        facts.extend(self.tools(&tool.value, tool.span, None));
                    }
                    None => facts = self.with_compensations(facts, tool.span),
                }
                let from = ToolSource::Written { tool: tool.value.clone(), parameters: parameters.clone() };
                (Kind::Tool(Box::new(node::ToolNode { from, facts })), retry)
            }
            written::Tool::Requests { tools } => {
                let facts = match tools {
                    Some(names) => names.iter().flat_map(|name| self.tools(&name.value, name.span, None)).collect(),
                    None => {
                        let asked: Vec<String> = self.asked.iter().cloned().collect();
                        asked.into_iter().filter_map(|name| Some((name.clone(), self.facts(&name)?))).collect()
                    }
                };
                let mut facts: Tools = facts;
                if keeps(policy) {
                    self.keep(&mut facts);
                }
                let facts = self.with_compensations(facts, Span::default());
                (Kind::Tool(Box::new(node::ToolNode { from: ToolSource::Requests, facts })), Retry::default())
            }
        }
    }

    /// The tools a name or wildcard stands for. `owner` is the agent whose definition names it, where it is not this file.
    fn tools(&mut self, name: &str, span: Span, owner: Option<&str>) -> Tools {
        // An outcome of the agent that looks like a tool to the model.
        if agent::RESERVED.contains(&name) {
            return BTreeMap::new();
        }
        let found = self.catalog.resolve(name);
        if found.is_empty() {
            self.no_tool(name, span, owner);
        }
        let found: Vec<String> = found.into_iter().map(|(name, _)| name.to_owned()).collect();
        found.into_iter().filter_map(|name| Some((name.clone(), self.facts(&name)?))).collect()
    }

    /// The facts of a tool there is, noted as used.
    fn facts(&mut self, name: &str) -> Option<Arc<Facts>> {
        if let Some(facts) = self.used.tools.get(name) {
            return Some(facts.clone());
        }
        let facts = self.catalog.tools.get(name)?.clone();
        self.used.tools.insert(name.to_owned(), facts.clone());
        Some(facts)
    }

    /// Makes these effects ones that the workflow means to stay.
    fn keep(&mut self, tools: &mut Tools) {
        for (name, facts) in tools {
            let kept = self.kept.entry(name.clone()).or_insert_with(|| {
                let mut kept = (**facts).clone();
                keep(&mut kept);
                Arc::new(kept)
            });
            *facts = kept.clone();
        }
    }

    fn no_tool(&mut self, name: &str, span: Span, owner: Option<&str>) {
        let is_app = name.ends_with(".*");
        let message = match owner {
            Some(owner) => format!("the agent `{owner}` may ask for `{}`, and there is no such tool", shown(name)),
            None if is_app => format!("there is no tool of `{}`", shown(name)),
            None => format!("there is no tool `{}`", shown(name)),
        };
        let unknown = Diagnostic::draft(Code::UnknownTool, span, message);
        let tools = self.catalog.tools.keys();
        if is_app {
            let apps: BTreeSet<String> =
                tools.filter_map(|tool| Some(format!("{}.*", tool.split_once('.')?.0))).collect();
            self.findings.push_near(unknown, name, apps.iter().map(String::as_str));
        } else {
            self.findings.push_near(unknown, name, tools.map(String::as_str));
        }
    }

    /// These tools and those that undo them.
    fn with_compensations(&mut self, mut facts: Tools, span: Span) -> Tools {
        let undoing: Vec<(String, String)> = facts
            .iter()
            .flat_map(|(name, facts)| {
                let undo = move |facts: &Facts| Some((name.clone(), facts.compensation.as_ref()?.tool_name.clone()));
                std::iter::once(&**facts).chain(facts.actual()).filter_map(undo)
            })
            .collect();
        for (tool, undo) in undoing {
            if facts.contains_key(&undo) {
                continue;
            }
            if let Some(known) = self.facts(&undo) {
                facts.insert(undo, known);
            } else {
                let message = format!("`{tool}` is undone by `{}`, and there is no such tool", shown(&undo));
                self.findings.push(Diagnostic::draft(Code::UnknownTool, span, message));
            }
        }
        facts
    }

    /// Finds what agents may ask for before any node is lowered; unknown ones are said when their node is.
    pub(super) fn collect_tools(&mut self, body: &Body<'_>) {
        for node in &body.nodes {
            match &node.part {
                Part::Agent(agent) => {
                    let named = self.named(agent);
                    let of_agent = named.first().and_then(|name| self.catalog.agents.get(name));
                    let of_agent = of_agent.map(|agent| agent.tools.clone());
                    let written =
                        agent.tools.as_ref().map(|names| names.iter().map(|name| name.value.clone()).collect());
                    for name in written.or(of_agent).unwrap_or_default() {
                        let found: Vec<&str> = self.catalog.resolve(&name).into_iter().map(|(name, _)| name).collect();
                        self.asked.extend(found.into_iter().map(str::to_owned));
                    }
                }
                Part::Loop(each) => self.collect_tools(&each.body),
                Part::Parallel(branches) => branches.values().for_each(|body| self.collect_tools(body)),
                Part::Whole(_) | Part::Tool(_) | Part::Subworkflow(_) => {}
            }
        }
    }
}

/// Whether a node's effects are meant to stay.
pub(super) fn keeps(policy: &written::Policy<'_>) -> bool {
    matches!(&policy.compensation, Some(Located { value: Compensation::None, .. }))
}

/// An effect the workflow means to stay.
fn keep(facts: &mut Facts) {
    facts.compensation = None;
    facts.irreversible = Some("the workflow means it to stay".to_owned());
    facts.actions.values_mut().for_each(keep);
}

fn placeholder(name: &str) -> Agent {
    Agent::new(name, agent::Kind::Simple)
}
