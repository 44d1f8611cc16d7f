//! The names that a tenant's definitions may use: its agents, the tools, and its other workflows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::agent::AgentDefinition;
use baton_core::bundle::ContentHash;
use baton_core::definition::{DefinitionCatalog, PinnedWorkflow, is_single_call_name};
use baton_core::id::TenantId;
use baton_core::tool::ToolContract;
use serde::Deserialize;

use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// The tenant's agents: those of the files if the tenant is the project's own, the shipped ones, and the registered
/// ones.
pub(super) async fn agents(
    services: &RunServices,
    tenant: &TenantId,
) -> Result<BTreeMap<String, AgentDefinition>, HttpProblem> {
    let files = services.files.borrow().clone();
    let is_theirs = files.tenant.as_ref() == Some(tenant);
    let mut agents = if is_theirs { files.catalog.agents.clone() } else { baton_engine::shipped_agents() };
    let registered = services.agent_registry.registered(tenant).await?;
    agents.extend(registered.into_iter().filter(|(name, _)| !is_theirs || !files.own_agents.contains(name)));
    Ok(agents)
}

/// The catalog for this document. It contains only the workflows that the document names, and those that they run.
pub(super) async fn catalog(
    state: &AppState,
    tenant: &TenantId,
    document: &str,
) -> Result<DefinitionCatalog, HttpProblem> {
    let services = state.run_services()?;
    let (agents, tools) = (agents(services, tenant).await?, tools(state, tenant)?);
    let all: BTreeMap<String, ContentHash> = services
        .registry
        .workflows(tenant)
        .await?
        .into_iter()
        .map(|version| (version.workflow, version.bundle))
        .collect();
    let is_named = |name: &&String| !is_single_call_name(name) && document.contains(name.as_str());
    let mut open: Vec<String> = all.keys().filter(is_named).cloned().collect();
    let mut workflows = BTreeMap::new();
    while let Some(name) = open.pop() {
        let Some(hash) = all.get(&name).filter(|_| !workflows.contains_key(&name)) else { continue };
        let runs = subworkflows(services, hash).await?;
        open.extend(runs.iter().cloned());
        workflows.insert(name, PinnedWorkflow { hash: hash.clone(), runs });
    }
    Ok(DefinitionCatalog { agents, tools, workflows })
}

/// The shared tools, and those that the tenant added for itself.
pub(super) fn tools(state: &AppState, tenant: &TenantId) -> Result<BTreeMap<String, Arc<ToolContract>>, HttpProblem> {
    let mut tools = state.run_services()?.files.borrow().catalog.tools.clone();
    // Without admin services, a tenant cannot add tools.
    if let Ok(admin) = state.admin_services() {
        let own = admin.tools.own_names(tenant);
        tools.extend(own.into_iter().filter_map(|name| Some((name.clone(), admin.tools.facts_for(tenant, &name)?))));
    }
    Ok(tools)
}

/// The workflows that a version runs itself.
async fn subworkflows(services: &RunServices, hash: &ContentHash) -> Result<BTreeSet<String>, HttpProblem> {
    #[derive(Deserialize)]
    struct PinnedSubworkflows {
        subworkflows: BTreeMap<String, ContentHash>,
    }

    let text = services.registry.bundle(hash).await?.unwrap_or_default();
    let pinned: Option<PinnedSubworkflows> = serde_json::from_slice(&text).ok();
    Ok(pinned.map(|pinned| pinned.subworkflows.into_keys().collect()).unwrap_or_default())
}
