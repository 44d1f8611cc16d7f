//! Tests of agent health, agent constraints and tenant limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{AgentKind, CostTier, OverLimitPolicy};
use baton_core::fault::{Fault, code};
use baton_core::id::TenantId;
use baton_core::run::{AgentWork, NodeAddress, NodeEnded, NodeOutcome, RunEvent};
use baton_core::time::Time;
use serde_json::json;

use super::{AgentFilter, AgentHealth, AgentListing, AgentOutcome, TierSettings, TierTable};

const NOW: Time = Time::from_ms(1_700_000_000_000);

fn tenant() -> TenantId {
    TenantId::new("acme")
}

fn outcome(succeeded: bool) -> AgentOutcome {
    AgentOutcome { agent: "who".to_owned(), succeeded, work_ms: 200 }
}

fn after(outcomes: &[bool]) -> AgentHealth {
    outcomes.iter().fold(AgentHealth::default(), |health, succeeded| health.after(&outcome(*succeeded), NOW))
}

#[test]
fn an_agent_that_fails_too_often_is_not_well_until_it_is_tried_again() {
    let failing = after(&[false; 5]);
    assert!(!failing.is_healthy(NOW + Duration::from_secs(59)));
    assert!(failing.is_healthy(NOW + Duration::from_secs(60)), "then it is tried again");
    assert!(
        !failing
            .clone()
            .after(&outcome(false), NOW + Duration::from_secs(60))
            .is_healthy(NOW + Duration::from_secs(61))
    );
    assert!(after(&[false; 4]).is_healthy(NOW), "too little is known");
    assert!(after(&[false, true, true, true, true]).is_healthy(NOW), "a first failure is one of five");
    assert!(after(&[true, true, true, true, false, false, false]).is_healthy(NOW), "three of seven are not most");
}

#[test]
fn an_agent_gets_well_again_by_what_it_does() {
    let mut health = after(&[false; 10]);
    for _ in 0..7 {
        health = health.after(&outcome(true), NOW);
    }
    assert!(health.error_rate < 0.5 && health.is_healthy(NOW), "{health:?}");
    assert_eq!((health.tasks, health.errors, health.latency_ms), (17, 10, 200.0));
}

fn ended(how: NodeOutcome) -> RunEvent {
    let by = Some(Box::new(AgentWork { agent: "who".to_owned(), work_ms: 7, iterations: 1 }));
    RunEvent::Ended(Box::new(NodeEnded { node: NodeAddress::outer("who"), how, taken: Vec::new(), held: None, by }))
}

#[test]
fn only_what_the_agent_did_counts() {
    let failed = |code| ended(NodeOutcome::Failed { fault: Fault::new(code, "scripted") });
    let said = |event: &RunEvent| AgentOutcome::of(event).map(|outcome| outcome.succeeded);
    assert_eq!(said(&ended(NodeOutcome::Completed { output: Arc::default() })), Some(true));
    assert_eq!(said(&failed(code::AGENT_GAVE_UP)), Some(false));
    assert_eq!(said(&failed(code::TIMEOUT)), Some(false));
    for code in [code::COST_LIMIT, code::TIER_LIMIT, code::EXPRESSION, code::DEADLINE] {
        assert_eq!(said(&failed(code)), None, "{code}");
    }
    assert_eq!(said(&ended(NodeOutcome::Cancelled)), None);
}

#[test]
fn cards_are_filtered_by_capability_cost_and_health_and_the_cheapest_comes_first() {
    let mut agents = baton_agents::shipped();
    agents.retain(|name, _| ["router", "reasoning_agent", "code_agent", "support"].contains(&name.as_str()));
    let health = BTreeMap::from([("reasoning_agent".to_owned(), after(&[false; 6]))]);
    let names = |wanted: AgentFilter| {
        let cards = AgentListing::all(&agents, &health, &wanted, NOW);
        cards.into_iter().map(|card| card.name).collect::<Vec<_>>()
    };
    assert_eq!(names(AgentFilter::default()), ["router", "reasoning_agent", "support", "code_agent"]);
    let able = |healthy| AgentFilter { capability: Some("tool_calling".to_owned()), healthy, ..AgentFilter::default() };
    assert_eq!(names(able(false)), ["reasoning_agent", "support"]);
    assert_eq!(names(able(true)), ["support"]);
    assert_eq!(names(AgentFilter { cost_tier: Some(CostTier::Low), ..AgentFilter::default() }), ["router"]);
    let card = &AgentListing::all(&agents, &health, &able(false), NOW)[0];
    let told = serde_json::to_value(card).unwrap();
    assert_eq!(
        (&told["is_healthy"], &told["error_rate"], &told["avg_latency_ms"]),
        (&json!(false), &json!(1.0), &json!(200))
    );
    assert_eq!(
        (&told["type"], &told["cost_tier"], &told["default_model"]),
        (&json!("reasoning"), &json!("medium"), &json!("balanced"))
    );
}

fn tiers(settings: serde_json::Value) -> Result<TierTable, String> {
    TierTable::new(serde_json::from_value::<TierSettings>(settings).unwrap())
}

#[test]
fn a_tenant_has_the_tier_it_was_given_else_the_one_for_all() {
    let all = TierTable::default();
    assert_eq!(all.of(&tenant(), None).name, "enterprise");
    assert!(all.of(&tenant(), None).limits.types.contains(&AgentKind::Code));
    let some = tiers(json!({"tier": "professional", "tenants": {"acme": "free"}})).unwrap();
    assert_eq!(
        (some.of(&tenant(), None).name.as_str(), some.of(&TenantId::new("b"), None).name.as_str()),
        ("free", "professional")
    );
    assert!(!some.of(&tenant(), None).limits.types.contains(&AgentKind::Code));
}

#[test]
fn settings_change_the_table_and_say_what_they_leave_open() {
    let changed = tiers(json!({"tier": "free", "tiers": {"free": {"iterations": 7, "above": "refuse"}}})).unwrap();
    let limits = &changed.of(&tenant(), None).limits;
    assert_eq!((limits.iterations, limits.tools, limits.above), (7, 5, OverLimitPolicy::Refuse));
    let refused = |settings: serde_json::Value| tiers(settings).unwrap_err();
    assert!(refused(json!({"tier": "fre"})).contains("enterprise, free, professional"));
    assert!(refused(json!({"tenants": {"acme": "gold"}})).starts_with("agents.tenants.acme: there is no tier `gold`"));
    assert!(refused(json!({"tiers": {"gold": {"tools": 3}}})).starts_with("agents.tiers.gold: `types` is not written"));
    assert!(refused(json!({"tiers": {"free": {"seconds": 0}}})).contains("`seconds` is nothing"));
}
