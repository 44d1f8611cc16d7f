//! An agent's metadata, as shown to people and programs.

use std::collections::BTreeMap;

use baton_core::agent::{AgentDefinition, AgentKind, CostTier};
use baton_core::time::Time;
use serde::Serialize;

use super::AgentHealth;

/// The public metadata of one agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentListing {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: AgentKind,
    pub description: String,
    pub capabilities: Vec<String>,
    pub supported_models: Vec<String>,
    /// The model that the agent names, otherwise its profile.
    pub default_model: String,
    pub cost_tier: CostTier,
    /// Of its own tasks; `null` before the first one.
    pub avg_latency_ms: Option<u64>,
    pub is_healthy: bool,
    pub error_rate: f64,
    pub tasks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

/// A filter for the list of agents.
#[derive(Clone, Debug, Default)]
pub struct AgentFilter {
    pub capability: Option<String>,
    /// At most this cost tier.
    pub cost_tier: Option<CostTier>,
    pub healthy: bool,
}

impl AgentListing {
    /// The listings that match the filter, cheapest first.
    pub fn all(
        agents: &BTreeMap<String, AgentDefinition>,
        health: &BTreeMap<String, AgentHealth>,
        wanted: &AgentFilter,
        now: Time,
    ) -> Vec<Self> {
        let cards = agents.values().map(|agent| Self::of(agent, health.get(&agent.name), now));
        let mut cards: Vec<Self> = cards.filter(|card| wanted.matches(card)).collect();
        cards.sort_by(|a, b| (a.cost_tier, &a.name).cmp(&(b.cost_tier, &b.name)));
        cards
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of milliseconds")]
    fn of(agent: &AgentDefinition, health: Option<&AgentHealth>, now: Time) -> Self {
        let profile = agent.model_profile.unwrap_or_default();
        Self {
            name: agent.name.clone(),
            kind: agent.kind,
            description: agent.description.clone(),
            capabilities: agent.capabilities.clone(),
            supported_models: agent.supported_models.clone(),
            default_model: agent.model.clone().unwrap_or_else(|| profile.word().to_owned()),
            cost_tier: agent.cost_tier(),
            avg_latency_ms: health.map(|health| health.latency_ms.round() as u64),
            is_healthy: health.is_none_or(|health| health.is_healthy(now)),
            error_rate: health.map_or(0.0, |health| (health.error_rate * 1_000.0).round() / 1_000.0),
            tasks: health.map_or(0, |health| health.tasks),
            fallback: agent.fallback.clone(),
        }
    }
}

impl AgentFilter {
    fn matches(&self, card: &AgentListing) -> bool {
        self.capability.as_ref().is_none_or(|wanted| card.capabilities.contains(wanted))
            && self.cost_tier.is_none_or(|most| card.cost_tier <= most)
            && (card.is_healthy || !self.healthy)
    }
}
