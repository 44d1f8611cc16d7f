//! The names available to a definition: agents, tools and workflows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agent::AgentDefinition;
use crate::bundle::{Bundle, ContentHash};
use crate::tool::ToolContract;

/// Available agents, tools and workflows. If it is empty, every name in a definition is unknown, and the definition is
/// a draft.
#[derive(Clone, Debug, Default)]
pub struct DefinitionCatalog {
    pub agents: BTreeMap<String, AgentDefinition>,
    pub tools: BTreeMap<String, Arc<ToolContract>>,
    pub workflows: BTreeMap<String, PinnedWorkflow>,
}

/// Another workflow, sealed in a bundle.
#[derive(Clone, Debug)]
pub struct PinnedWorkflow {
    pub hash: ContentHash,
    /// The workflows that it runs as subworkflows.
    pub runs: BTreeSet<String>,
}

/// Workflows that exist but are not ready, with the workflows that they run.
pub(crate) type UnreadyWorkflows = BTreeMap<String, BTreeSet<String>>;

impl DefinitionCatalog {
    /// Returns a catalogue of exactly what a bundle pins.
    pub fn of(bundle: &Bundle) -> Self {
        let known = |hash: &ContentHash| PinnedWorkflow { hash: hash.clone(), runs: BTreeSet::new() };
        Self {
            agents: bundle.agents.clone(),
            tools: bundle.tools.iter().map(|(name, facts)| (name.clone(), Arc::new(facts.clone()))).collect(),
            workflows: bundle.subworkflows.iter().map(|(name, hash)| (name.clone(), known(hash))).collect(),
        }
    }

    /// Returns the tools that a name stands for: one tool, or all tools of an app if it ends in `.*`.
    pub fn resolve<'c>(&'c self, name: &str) -> Vec<(&'c str, &'c ToolContract)> {
        match name.strip_suffix('*') {
            Some(app) if app.ends_with('.') => self
                .tools
                .range(app.to_owned()..)
                .take_while(|(tool, _)| tool.starts_with(app))
                .map(|(tool, facts)| (tool.as_str(), &**facts))
                .collect(),
            _ => self.tools.get_key_value(name).map(|(tool, facts)| (tool.as_str(), &**facts)).into_iter().collect(),
        }
    }

    /// Returns the path from one workflow back to `name` through the workflows that each runs: `a`, …, `name`.
    pub(crate) fn cycle_path<'c>(
        &'c self,
        unready: &'c UnreadyWorkflows,
        from: &'c str,
        name: &str,
    ) -> Option<Vec<String>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut open = vec![from];
        while let Some(here) = open.pop() {
            if here == name {
                let mut way = vec![here.to_owned()];
                let mut at = here;
                while let Some(&earlier) = before.get(at).filter(|_| at != from) {
                    way.push(earlier.to_owned());
                    at = earlier;
                }
                way.reverse();
                return Some(way);
            }
            let known = self.workflows.get(here).map(|known| &known.runs);
            for next in known.or_else(|| unready.get(here)).into_iter().flatten() {
                if next != from && !before.contains_key(next.as_str()) {
                    before.insert(next, here);
                    open.push(next);
                }
            }
        }
        None
    }
}
