//! Limits on the agents of one tenant: the row of its tier, and which agents are unhealthy.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AgentDefinition, AgentKind, ITERATIONS_DEFAULT, ITERATIONS_MAX};
use crate::fault::{Fault, code};
use crate::model::ToolOffer;

/// What is done with what is above a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Above")]
pub enum OverLimitPolicy {
    /// It is lowered to the limit; a type of agent that is not allowed is refused all the same.
    #[default]
    Clamp,
    /// The agent does not run.
    Refuse,
}

/// What each agent of a tenant may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct AgentLimits {
    /// Types of agents that may run.
    pub types: BTreeSet<AgentKind>,
    /// Tools one agent may be offered.
    pub tools: usize,
    /// Replies of the model one agent may take.
    pub iterations: u32,
    /// Seconds one agent may work, waiting for people not counted.
    pub seconds: u64,
    /// Models, programs and steps that the tenant's agents may wait for at once; what is more waits for its turn.
    pub concurrency: usize,
    #[serde(default)]
    pub above: OverLimitPolicy,
}

/// A tenant's limits, with the name of its tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantTier {
    pub name: String,
    pub limits: AgentLimits,
}

/// The current state of a tenant's agents, read when an agent is about to start. Only what follows from it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentConstraints {
    /// `None` means no limits.
    pub tier: Option<Arc<TenantTier>>,
    /// Agents that fail too often. A fallback agent replaces such an agent if one is configured.
    pub failing: BTreeSet<String>,
}

impl TenantTier {
    /// Applies the limits to an agent.
    ///
    /// # Errors
    /// The agent may not run: its type is not allowed for the tenant, or it exceeds a limit and the policy is to
    /// refuse.
    pub fn enforce(&self, agent: &mut AgentDefinition, tools: &mut Vec<ToolOffer>) -> Result<(), Fault> {
        let limits = &self.limits;
        if !limits.types.contains(&agent.kind) {
            let types: Vec<&str> = limits.types.iter().map(|kind| kind.word()).collect();
            let (kind, types) = (agent.kind.word(), types.join(", "));
            return Err(self.fault(agent, &format!("is of type `{kind}`, and these may run: {types}")));
        }
        let asked = [
            ("tools", tools.len() as u64, limits.tools as u64),
            ("iterations", u64::from(agent.max_iterations.unwrap_or(0)), u64::from(limits.iterations)),
            ("seconds", agent.max_execution_time.unwrap_or(0), limits.seconds),
        ];
        if limits.above == OverLimitPolicy::Refuse
            && let Some((what, asked, limit)) = asked.into_iter().find(|(_, asked, limit)| asked > limit)
        {
            return Err(self.fault(agent, &format!("asks for {asked} {what}, the limit is {limit}")));
        }
        tools.truncate(limits.tools);
        let own = match agent.kind {
            AgentKind::Simple | AgentKind::Reasoning => ITERATIONS_DEFAULT,
            AgentKind::Code | AgentKind::Custom => ITERATIONS_MAX,
        };
        agent.max_iterations = Some(agent.max_iterations.unwrap_or(own).min(limits.iterations));
        agent.max_execution_time = Some(agent.max_execution_time.unwrap_or(limits.seconds).min(limits.seconds));
        Ok(())
    }

    fn fault(&self, agent: &AgentDefinition, what: &str) -> Fault {
        let message = format!("agent `{}` {what} in the tier `{}`", agent.name, self.name);
        Fault::new(code::TIER_LIMIT, message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn tier(above: OverLimitPolicy) -> TenantTier {
        let limits = AgentLimits {
            types: BTreeSet::from([AgentKind::Simple, AgentKind::Reasoning]),
            tools: 2,
            iterations: 5,
            seconds: 60,
            concurrency: 2,
            above,
        };
        TenantTier { name: "free".to_owned(), limits }
    }

    fn offers(count: usize) -> Vec<ToolOffer> {
        let offer =
            |n| ToolOffer { name: format!("t{n}"), description: String::new(), parameters: Value::Null, strict: None };
        (0..count).map(offer).collect()
    }

    #[test]
    fn what_is_above_the_limit_is_lowered_and_what_is_left_out_is_at_most_the_limit() {
        let mut agent = AgentDefinition { max_iterations: Some(50), ..AgentDefinition::new("a", AgentKind::Reasoning) };
        let mut tools = offers(3);
        tier(OverLimitPolicy::Clamp).enforce(&mut agent, &mut tools).unwrap();
        assert_eq!((agent.max_iterations, agent.max_execution_time, tools.len()), (Some(5), Some(60), 2));
        let mut modest = AgentDefinition { max_iterations: Some(3), max_execution_time: Some(9), ..agent };
        tier(OverLimitPolicy::Clamp).enforce(&mut modest, &mut tools).unwrap();
        assert_eq!((modest.max_iterations, modest.max_execution_time), (Some(3), Some(9)));
    }

    #[test]
    fn where_more_is_refused_only_what_was_asked_for_counts() {
        let tier = tier(OverLimitPolicy::Refuse);
        let mut agent = AgentDefinition::new("a", AgentKind::Reasoning);
        tier.enforce(&mut agent.clone(), &mut offers(2)).unwrap();
        assert!(
            tier.enforce(&mut agent.clone(), &mut offers(3)).unwrap_err().message.contains("3 tools, the limit is 2")
        );
        agent.max_execution_time = Some(61);
        let fault = tier.enforce(&mut agent, &mut offers(0)).unwrap_err();
        assert_eq!(fault.message, "agent `a` asks for 61 seconds, the limit is 60 in the tier `free`");
    }

    #[test]
    fn a_type_that_is_not_among_the_tenants_never_runs() {
        let mut agent = AgentDefinition::new("a", AgentKind::Code);
        let fault = tier(OverLimitPolicy::Clamp).enforce(&mut agent, &mut offers(0)).unwrap_err();
        assert_eq!(fault.code, code::TIER_LIMIT);
        assert!(fault.message.contains("`code`") && fault.message.contains("simple, reasoning"), "{}", fault.message);
    }
}
