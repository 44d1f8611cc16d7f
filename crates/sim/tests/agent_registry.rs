//! Agents that are registered at run time, and their health, over records.

use std::sync::Arc;

use baton_core::agent::{AgentDefinition, AgentKind};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::AgentRegistry;
use baton_engine::agent_registry::{AGENTS_MAX, AgentOutcome, TierTable};
use baton_sim::fake::FakeStore;

const NOW: Time = Time::from_ms(1_700_000_000_000);

fn tenant() -> TenantId {
    TenantId::new("acme")
}

fn agent_registry() -> AgentRegistry {
    AgentRegistry::new(Arc::new(FakeStore::new()), TierTable::default())
}

fn outcome(succeeded: bool) -> AgentOutcome {
    AgentOutcome { agent: "who".to_owned(), succeeded, work_ms: 200 }
}

#[tokio::test]
async fn outcomes_are_kept_and_tell_who_is_not_well() {
    let (records, now) = (Arc::new(FakeStore::new()), NOW);
    let agent_registry = AgentRegistry::new(records.clone(), TierTable::default());
    agent_registry.record_outcomes(&tenant(), &vec![outcome(false); 5], now).await;
    assert!(agent_registry.advice(&tenant(), now).failing.contains("who"));
    assert!(agent_registry.advice(&TenantId::new("other"), now).failing.is_empty());
    let another = AgentRegistry::new(records, TierTable::default());
    assert!(another.advice(&tenant(), now).failing.is_empty(), "it has not looked yet");
    another.refresh(&tenant(), now).await;
    assert!(another.advice(&tenant(), now).failing.contains("who"));
    assert_eq!(another.health(&tenant()).await.unwrap()["who"].tasks, 5);
}

#[tokio::test]
async fn outcomes_noted_at_once_are_all_counted() {
    let agent_registry = Arc::new(agent_registry());
    let notes = (0..4).map(|_| {
        let agent_registry = agent_registry.clone();
        tokio::spawn(async move { agent_registry.record_outcomes(&tenant(), &[outcome(true)], NOW).await })
    });
    for note in notes.collect::<Vec<_>>() {
        note.await.unwrap();
    }
    assert_eq!(agent_registry.health(&tenant()).await.unwrap()["who"].tasks, 4);
}

#[tokio::test]
async fn agents_are_registered_replaced_and_removed() {
    let agent_registry = agent_registry();
    let mut agent = AgentDefinition::new("greeter", AgentKind::Simple);
    agent_registry.register(&tenant(), &agent, NOW).await.unwrap();
    agent.description = "Greets".to_owned();
    agent_registry.register(&tenant(), &agent, NOW).await.unwrap();
    assert_eq!(agent_registry.registered(&tenant()).await.unwrap()["greeter"], agent);
    assert!(agent_registry.registered(&TenantId::new("other")).await.unwrap().is_empty());
    assert!(agent_registry.remove(&tenant(), "greeter", NOW).await.unwrap());
    assert!(!agent_registry.remove(&tenant(), "greeter", NOW).await.unwrap());
    let nameless =
        agent_registry.register(&tenant(), &AgentDefinition::new("", AgentKind::Simple), NOW).await.unwrap_err();
    assert!(nameless.to_string().contains("1 to 100 characters"), "{nameless}");
}

#[tokio::test]
async fn one_agent_more_than_may_be_is_refused_by_name_and_all_others_are_read() {
    let agent_registry = agent_registry();
    for number in 0..AGENTS_MAX {
        let agent = AgentDefinition::new(format!("agent_{number}"), AgentKind::Simple);
        agent_registry.register(&tenant(), &agent, NOW).await.unwrap();
    }
    assert_eq!(agent_registry.registered(&tenant()).await.unwrap().len(), AGENTS_MAX);
    let more = AgentDefinition::new("one_more", AgentKind::Simple);
    let refused = agent_registry.register(&tenant(), &more, NOW).await.unwrap_err().to_string();
    assert!(refused.contains("`one_more`") && refused.contains("1000 agents"), "{refused}");
    agent_registry
        .register(&tenant(), &AgentDefinition::new("agent_7", AgentKind::Simple), NOW)
        .await
        .expect("it replaces one");
    assert!(agent_registry.remove(&tenant(), "agent_7", NOW).await.unwrap());
    agent_registry.register(&tenant(), &more, NOW).await.expect("there is room again");
}
