//! What a tenant's definitions may name: its agents, the tools, and its other workflows.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::agent::Agent;
use baton_core::bundle::Hash;
use baton_core::definition::{Catalog, Known, is_single};
use baton_core::id::TenantId;
use serde::Deserialize;

use crate::door::Work;
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
pub(super) async fn catalog(work: &Work, tenant: &TenantId, document: &str) -> Result<Catalog, Problem> {
    let agents = agents(work, tenant).await?;
    let tools = work.files.borrow().catalog.tools.clone();
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
