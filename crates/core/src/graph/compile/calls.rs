//! The tools that agents and tool nodes may call, and their compensations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::NodeKind;
use super::super::node::{self, ToolSource};
use super::GraphLowering;
use crate::agent::{self, AgentDefinition, CostTier};
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::source::{SourceSpan, SpannedValue};
use crate::definition::spec::{self as written, BodySpec, CompensationSpec, NodeKindSpec};
use crate::tool::{RetryPolicy, ToolContract};
use baton_expr::{JinjaTemplate, ParamsDialect};

/// Tool contracts by name. They are shared: a thousand nodes that call one tool hold it once.
pub(super) type ToolFactsMap = BTreeMap<String, Arc<ToolContract>>;

/// Maximum number of fallback agents.
const FALLBACKS_MAX: usize = 3;

impl GraphLowering<'_, '_> {
    pub(super) fn agent(&mut self, written: &written::AgentNodeSpec, keeps: bool) -> NodeKind {
        let mut names = self.candidate_agents(written).into_iter();
        // That no agent has the capability was already reported.
        let Some(own) = names.next() else { return NodeKind::Trigger };
        let span = written.agent.span();
        let Some(mut node) = self.resolve_agent(written, &own, span, keeps) else { return NodeKind::Trigger };
        let mut fallbacks = Vec::new();
        let mut next = names.next().or_else(|| self.fallback_of(&own, written.fallback.as_ref()));
        let mut known = BTreeSet::from([own]);
        while let Some(name) = next.filter(|name| known.len() <= FALLBACKS_MAX && !known.contains(name)) {
            let named_here = written.fallback.as_ref().filter(|fallback| fallback.value == name);
            fallbacks.extend(self.resolve_agent(
                written,
                &name,
                named_here.map_or(span, |fallback| fallback.span),
                keeps,
            ));
            next = names.next().or_else(|| self.fallback_of(&name, None));
            known.insert(name);
        }
        for fallback in &fallbacks {
            let more = fallback.tools.iter().map(|(name, facts)| (name.clone(), facts.clone()));
            node.tools.extend(more);
        }
        node.fallbacks = fallbacks;
        NodeKind::Agent(Box::new(node))
    }

    /// Returns the agents that the node names, or those with the capability it names, the cheapest first.
    fn candidate_agents(&mut self, written: &written::AgentNodeSpec) -> Vec<String> {
        let (capability, cost) = match &written.agent {
            written::AgentSelector::ByName(name) => return vec![name.value.clone()],
            written::AgentSelector::ByCapability { capability, cost } => (capability, *cost),
        };
        let able = self.catalog.agents.values().filter(|agent| {
            agent.has_capability(&capability.value) && cost.is_none_or(|most| agent.cost_tier() <= most)
        });
        let mut able: Vec<(CostTier, String)> = able.map(|agent| (agent.cost_tier(), agent.name.clone())).collect();
        able.sort();
        if able.is_empty() {
            let message = format!("no agent has the capability `{}`", clip_word(&capability.value));
            let known = self.catalog.agents.values().flat_map(|agent| &agent.capabilities).map(String::as_str);
            let unknown = Diagnostic::draft(DiagnosticCode::UnknownAgent, capability.span, message);
            self.findings.push_with_suggestion(unknown, &capability.value, known);
        }
        able.into_iter().map(|(_, name)| name).collect()
    }

    fn fallback_of(&mut self, agent: &str, written: Option<&SpannedValue<String>>) -> Option<String> {
        match written {
            Some(name) => Some(name.value.clone()),
            None => self.catalog.agents.get(agent)?.fallback.clone(),
        }
    }

    /// Resolves one agent with the settings of this node; `span` is the position of its name.
    fn resolve_agent(
        &mut self,
        written: &written::AgentNodeSpec,
        name: &str,
        span: SourceSpan,
        keeps: bool,
    ) -> Option<node::AgentNode> {
        let mut agent = self.known_agent(written, name, span);
        let mut offered = ToolFactsMap::new();
        match &written.tools {
            Some(names) => names.iter().for_each(|name| offered.extend(self.tools(&name.value, name.span, None))),
            None => {
                for name in &agent.tools {
                    offered.extend(self.tools(name, span, Some(&agent.name)));
                }
            }
        }
        self.grant_memory_tools(&mut agent, &mut offered, span);
        let names = offered.keys().cloned().collect();
        if keeps {
            self.mark_permanent(&mut offered);
        }
        let tools = self.with_compensations(offered, span);
        let own = |text: &str, what: &str, findings: &mut DiagnosticList| match JinjaTemplate::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                let message = format!("the {what} of the agent `{}`: {error}", agent.name);
                findings.push(span.error(DiagnosticCode::Expression, message));
                JinjaTemplate::parse("").ok()
            }
        };
        let prompt = written.prompt.clone().or_else(|| own(&agent.prompt, "prompt", self.findings));
        let system = written.system.as_ref().map(|(_, template)| template.clone());
        let system = system.or_else(|| own(&agent.system_prompt, "system prompt", self.findings));
        let mut spoken = BTreeMap::new();
        for (name, text) in &agent.prompts {
            let language = name.strip_prefix(agent::SYSTEM_PROMPT).and_then(|rest| rest.strip_prefix('.'));
            let parsed = own(text, &format!("prompt `{name}`"), self.findings);
            spoken.extend(language.map(str::to_owned).zip(parsed));
        }
        let (selects, asks, fallbacks) = (written.only_selects_tools, written.question_deadline.clone(), Vec::new());
        // The empty template parses, so both always exist.
        let (prompt, system) = prompt.zip(system)?;
        Some(node::AgentNode {
            agent,
            prompt,
            system,
            system_by_language: spoken,
            tools,
            offered: names,
            only_selects_tools: selects,
            question_deadline: asks,
            fallbacks,
        })
    }

    /// Gives an agent the memory tools that its `context_sources` need. Tools that it would not have otherwise are
    /// recorded and not offered to its model.
    fn grant_memory_tools(&mut self, agent: &mut AgentDefinition, offered: &mut ToolFactsMap, span: SourceSpan) {
        let mut lent = Vec::new();
        for tool in agent::context::context_tools(agent) {
            if offered.contains_key(tool) {
                continue;
            }
            let Some(facts) = self.facts(tool) else {
                let message = format!("there is no tool `{tool}`, so memory adds nothing for `context_sources`");
                self.findings.push(Diagnostic::warning(DiagnosticCode::UnknownTool, span, message));
                continue;
            };
            offered.insert(tool.to_owned(), facts);
            agent.tools.push(tool.to_owned());
            lent.push(tool);
        }
        if !lent.is_empty() {
            agent.metadata.insert(agent::context::CONTEXT_TOOLS.to_owned(), lent.into());
        }
    }

    /// Returns the agent of this name with the node's overrides; an unknown agent becomes a plain one without tools.
    fn known_agent(&mut self, written: &written::AgentNodeSpec, name: &str, span: SourceSpan) -> AgentDefinition {
        let mut agent = match self.catalog.agents.get(name) {
            Some(agent) => {
                self.contents.agents.insert(name.to_owned(), agent.clone());
                agent.clone()
            }
            None => {
                let message = format!("there is no agent `{}`", clip_word(name));
                let unknown = Diagnostic::draft(DiagnosticCode::UnknownAgent, span, message);
                self.findings.push_with_suggestion(unknown, name, self.catalog.agents.keys().map(String::as_str));
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
            agent.prompts.retain(|name, _| !name.starts_with(agent::SYSTEM_PROMPT));
        }
        if let Some(tools) = &written.tools {
            agent.tools = tools.iter().map(|tool| tool.value.clone()).collect();
        }
        agent.metadata.extend(written.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
        agent
    }

    pub(super) fn tool(
        &mut self,
        tool: &written::ToolNodeSpec<'_>,
        policy: &written::PolicySpec<'_>,
        dialect: ParamsDialect,
    ) -> (NodeKind, RetryPolicy) {
        match tool {
            written::ToolNodeSpec::Fixed { tool, parameters, tree } => {
                let mut facts = self.tools(&tool.value, tool.span, None);
                let own = facts.get(&tool.value).map(|facts| written::action_facts(facts, *tree, dialect));
                let retry = own.map(|facts| facts.retry.clone()).unwrap_or_default();
                match &policy.compensation {
                    Some(SpannedValue { value: CompensationSpec::None, .. }) => self.mark_permanent(&mut facts),
                    Some(SpannedValue { value: CompensationSpec::Undo { tool, .. }, .. }) => {
                        facts.extend(self.tools(&tool.value, tool.span, None));
                    }
                    None => facts = self.with_compensations(facts, tool.span),
                }
                let from = ToolSource::Fixed { tool: tool.value.clone(), parameters: parameters.clone() };
                (NodeKind::Tool(Box::new(node::ToolNode { from, facts })), retry)
            }
            written::ToolNodeSpec::AgentRequests { tools } => {
                let facts = match tools {
                    Some(names) => names.iter().flat_map(|name| self.tools(&name.value, name.span, None)).collect(),
                    None => {
                        let asked: Vec<String> = self.agent_tools.iter().cloned().collect();
                        asked.into_iter().filter_map(|name| Some((name.clone(), self.facts(&name)?))).collect()
                    }
                };
                let mut facts: ToolFactsMap = facts;
                if keeps_effects(policy) {
                    self.mark_permanent(&mut facts);
                }
                let facts = self.with_compensations(facts, SourceSpan::default());
                (
                    NodeKind::Tool(Box::new(node::ToolNode { from: ToolSource::AgentRequests, facts })),
                    RetryPolicy::default(),
                )
            }
        }
    }

    /// Returns the tools that a name or wildcard stands for. `owner` is the agent whose definition names it, if it is
    /// not this file.
    fn tools(&mut self, name: &str, span: SourceSpan, owner: Option<&str>) -> ToolFactsMap {
        // An outcome of the agent that looks like a tool to the model.
        if agent::RESERVED_TOOLS.contains(&name) {
            return BTreeMap::new();
        }
        let found = self.catalog.resolve(name);
        if found.is_empty() {
            self.report_unknown_tool(name, span, owner);
        }
        let found: Vec<String> = found.into_iter().map(|(name, _)| name.to_owned()).collect();
        found.into_iter().filter_map(|name| Some((name.clone(), self.facts(&name)?))).collect()
    }

    /// Returns the contract of an existing tool, recorded as used.
    fn facts(&mut self, name: &str) -> Option<Arc<ToolContract>> {
        if let Some(facts) = self.contents.tools.get(name) {
            return Some(facts.clone());
        }
        let facts = self.catalog.tools.get(name)?.clone();
        self.contents.tools.insert(name.to_owned(), facts.clone());
        Some(facts)
    }

    /// Marks the effects of these tools as meant to stay.
    fn mark_permanent(&mut self, tools: &mut ToolFactsMap) {
        for (name, facts) in tools {
            let kept = self.permanent_tools.entry(name.clone()).or_insert_with(|| {
                let mut kept = (**facts).clone();
                mark_permanent_effect(&mut kept);
                Arc::new(kept)
            });
            *facts = kept.clone();
        }
    }

    fn report_unknown_tool(&mut self, name: &str, span: SourceSpan, owner: Option<&str>) {
        let is_app = name.ends_with(".*");
        let message = match owner {
            Some(owner) => format!("the agent `{owner}` may ask for `{}`, and there is no such tool", clip_word(name)),
            None if is_app => format!("there is no tool of `{}`", clip_word(name)),
            None => format!("there is no tool `{}`", clip_word(name)),
        };
        let unknown = Diagnostic::draft(DiagnosticCode::UnknownTool, span, message);
        let tools = self.catalog.tools.keys();
        if is_app {
            let apps: BTreeSet<String> =
                tools.filter_map(|tool| Some(format!("{}.*", tool.split_once('.')?.0))).collect();
            self.findings.push_with_suggestion(unknown, name, apps.iter().map(String::as_str));
        } else {
            self.findings.push_with_suggestion(unknown, name, tools.map(String::as_str));
        }
    }

    /// Returns these tools and their compensations.
    fn with_compensations(&mut self, mut facts: ToolFactsMap, span: SourceSpan) -> ToolFactsMap {
        let undoing: Vec<(String, String)> = facts
            .iter()
            .flat_map(|(name, facts)| {
                let undo =
                    move |facts: &ToolContract| Some((name.clone(), facts.compensation.as_ref()?.tool_name.clone()));
                std::iter::once(&**facts).chain(facts.flattened_actions()).filter_map(undo)
            })
            .collect();
        for (tool, undo) in undoing {
            if facts.contains_key(&undo) {
                continue;
            }
            if let Some(known) = self.facts(&undo) {
                facts.insert(undo, known);
            } else {
                let message = format!("`{tool}` is undone by `{}`, and there is no such tool", clip_word(&undo));
                self.findings.push(Diagnostic::draft(DiagnosticCode::UnknownTool, span, message));
            }
        }
        facts
    }

    /// Collects the tools that agents may request before any node is lowered; unknown ones are reported when their node
    /// is lowered.
    pub(super) fn collect_tools(&mut self, body: &BodySpec<'_>) {
        for node in &body.nodes {
            match &node.part {
                NodeKindSpec::Agent(agent) => {
                    let named = self.candidate_agents(agent);
                    let of_agent = named.first().and_then(|name| self.catalog.agents.get(name));
                    let of_agent = of_agent.map(|agent| agent.tools.clone());
                    let written =
                        agent.tools.as_ref().map(|names| names.iter().map(|name| name.value.clone()).collect());
                    for name in written.or(of_agent).unwrap_or_default() {
                        let found: Vec<&str> = self.catalog.resolve(&name).into_iter().map(|(name, _)| name).collect();
                        self.agent_tools.extend(found.into_iter().map(str::to_owned));
                    }
                }
                NodeKindSpec::Loop(each) => self.collect_tools(&each.body),
                NodeKindSpec::Parallel(branches) => branches.values().for_each(|body| self.collect_tools(body)),
                NodeKindSpec::Complete(_) | NodeKindSpec::Tool(_) | NodeKindSpec::Subworkflow(_) => {}
            }
        }
    }
}

/// Returns whether a node's effects are meant to stay.
pub(super) fn keeps_effects(policy: &written::PolicySpec<'_>) -> bool {
    matches!(&policy.compensation, Some(SpannedValue { value: CompensationSpec::None, .. }))
}

/// Marks an effect as meant to stay.
fn mark_permanent_effect(facts: &mut ToolContract) {
    facts.compensation = None;
    facts.irreversible = Some("the workflow means it to stay".to_owned());
    facts.actions.values_mut().for_each(mark_permanent_effect);
}

fn placeholder(name: &str) -> AgentDefinition {
    AgentDefinition::new(name, agent::AgentKind::Simple)
}
