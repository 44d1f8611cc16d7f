//! What a tenant's definitions may name: its agents, the tools, and its other workflows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::agent::Agent;
use baton_core::bundle::Hash;
use baton_core::definition::{Catalog, Known, is_single};
use baton_core::id::TenantId;
use baton_core::tool::Facts;
use serde::Deserialize;

use crate::door::{Door, Work};
use crate::problem::Problem;

/// The tenant's agents: those of the files where it is their tenant, those that are shipped, and those that were registered.
pub(super) async fn agents(work: &Work, tenant: &TenantId) -> Result<BTreeMap<String, Agent>, Problem> {
    let files = work.files.borrow().clone();
    let is_theirs = files.tenant.as_ref() == Some(tenant);
    let mut agents = if is_theirs { files.catalog.agents.clone() } else { baton_engine::shipped_agents() };
    let registered = work.roster.registered(tenant).await?;
    agents.extend(registered.into_iter().filter(|(name, _)| !is_theirs || !files.own_agents.contains(name)));
    Ok(agents)
}

/// What this document may name. Of the workflows, those whose names stand in it, and those that they run.
pub(super) async fn catalog(door: &Door, tenant: &TenantId, document: &str) -> Result<Catalog, Problem> {
    let work = door.work()?;
    let (agents, tools) = (agents(work, tenant).await?, tools(door, tenant)?);
    let all: BTreeMap<String, Hash> =
        work.registry.workflows(tenant).await?.into_iter().map(|version| (version.workflow, version.bundle)).collect();
    let is_named = |name: &&String| !is_single(name) && document.contains(name.as_str());
    let mut open: Vec<String> = all.keys().filter(is_named).cloned().collect();
    let mut workflows = BTreeMap::new();
    while let Some(name) = open.pop() {
        let Some(hash) = all.get(&name).filter(|_| !workflows.contains_key(&name)) else { continue };
        let runs = runs(work, hash).await?;
        open.extend(runs.iter().cloned());
        workflows.insert(name, Known { hash: hash.clone(), runs });
    }
    Ok(Catalog { agents, tools, workflows })
}

/// Everybody's tools, and those the tenant added for itself.
pub(super) fn tools(door: &Door, tenant: &TenantId) -> Result<BTreeMap<String, Arc<Facts>>, Problem> {
    let mut tools = door.work()?.files.borrow().catalog.tools.clone();
    // Where nobody runs the house, nobody adds any.
    if let Ok(house) = door.house() {
        let own = house.tools.own_names(tenant);
        tools.extend(own.into_iter().filter_map(|name| Some((name.clone(), house.tools.facts_for(tenant, &name)?))));
    }
    Ok(tools)
}

/// The workflows that a version runs itself.
async fn runs(work: &Work, hash: &Hash) -> Result<BTreeSet<String>, Problem> {
    #[derive(Deserialize)]
    struct Pinned {
        subworkflows: BTreeMap<String, Hash>,
    }

    let text = work.registry.bundle(hash).await?.unwrap_or_default();
    let pinned: Option<Pinned> = serde_json::from_slice(&text).ok();
    Ok(pinned.map(|pinned| pinned.subworkflows.into_keys().collect()).unwrap_or_default())
}
