//! Agents registered while the system runs, and how each has done, over records.

use std::sync::Arc;

use baton_core::agent::{Agent, Kind};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::Roster;
use baton_engine::roster::{AGENTS_MAX, Outcome, Tiers};
use baton_sim::fake::Store;

const NOW: Time = Time::from_ms(1_700_000_000_000);

fn tenant() -> TenantId {
    TenantId::new("acme")
}

fn roster() -> Roster {
    Roster::new(Arc::new(Store::new()), Tiers::default())
}

fn outcome(succeeded: bool) -> Outcome {
    Outcome { agent: "who".to_owned(), succeeded, work_ms: 200 }
}

#[tokio::test]
async fn outcomes_are_kept_and_tell_who_is_not_well() {
    let (records, now) = (Arc::new(Store::new()), NOW);
    let roster = Roster::new(records.clone(), Tiers::default());
    roster.note(&tenant(), &vec![outcome(false); 5], now).await;
    assert!(roster.advice(&tenant(), now).unwell.contains("who"));
    assert!(roster.advice(&TenantId::new("other"), now).unwell.is_empty());
    let another = Roster::new(records, Tiers::default());
    assert!(another.advice(&tenant(), now).unwell.is_empty(), "it has not looked yet");
    another.look(&tenant(), now).await;
    assert!(another.advice(&tenant(), now).unwell.contains("who"));
    assert_eq!(another.health(&tenant()).await.unwrap()["who"].tasks, 5);
}

#[tokio::test]
async fn outcomes_noted_at_once_are_all_counted() {
    let roster = Arc::new(roster());
    let notes = (0..4).map(|_| {
        let roster = roster.clone();
        tokio::spawn(async move { roster.note(&tenant(), &[outcome(true)], NOW).await })
    });
    for note in notes.collect::<Vec<_>>() {
        note.await.unwrap();
    }
    assert_eq!(roster.health(&tenant()).await.unwrap()["who"].tasks, 4);
}

#[tokio::test]
async fn agents_are_registered_replaced_and_removed() {
    let roster = roster();
    let mut agent = Agent::new("greeter", Kind::Simple);
    roster.register(&tenant(), &agent, NOW).await.unwrap();
    agent.description = "Greets".to_owned();
    roster.register(&tenant(), &agent, NOW).await.unwrap();
    assert_eq!(roster.registered(&tenant()).await.unwrap()["greeter"], agent);
    assert!(roster.registered(&TenantId::new("other")).await.unwrap().is_empty());
    assert!(roster.remove(&tenant(), "greeter", NOW).await.unwrap());
    assert!(!roster.remove(&tenant(), "greeter", NOW).await.unwrap());
    let nameless = roster.register(&tenant(), &Agent::new("", Kind::Simple), NOW).await.unwrap_err();
    assert!(nameless.to_string().contains("1 to 100 characters"), "{nameless}");
}

#[tokio::test]
async fn one_agent_more_than_may_be_is_refused_by_name_and_all_others_are_read() {
    let roster = roster();
    for number in 0..AGENTS_MAX {
        let agent = Agent::new(format!("agent_{number}"), Kind::Simple);
        roster.register(&tenant(), &agent, NOW).await.unwrap();
    }
    assert_eq!(roster.registered(&tenant()).await.unwrap().len(), AGENTS_MAX);
    let more = Agent::new("one_more", Kind::Simple);
    let refused = roster.register(&tenant(), &more, NOW).await.unwrap_err().to_string();
    assert!(refused.contains("`one_more`") && refused.contains("1000 agents"), "{refused}");
    roster.register(&tenant(), &Agent::new("agent_7", Kind::Simple), NOW).await.expect("it replaces one");
    assert!(roster.remove(&tenant(), "agent_7", NOW).await.unwrap());
    roster.register(&tenant(), &more, NOW).await.expect("there is room again");
}
