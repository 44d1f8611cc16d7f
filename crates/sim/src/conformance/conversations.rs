use baton_core::conversation::{ConversationOwner, ConversationState, ConversationStatus};
use baton_core::kpi::ConversationCounts;
use baton_core::money::Usd;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::journal::{
    AggregateKind, InboxSubmission, JournalAppend, JournalStore, NewAggregate, Ownership, ProjectionRow,
};
use baton_ports::read::ReadModel;

use super::fixtures::{at, claimed, entry, join, other_tenant, start, tenant};

fn head(id: &str, state: ConversationState) -> ConversationHead {
    let owner = match state {
        ConversationState::HumanActive => ConversationOwner::Person("ana".into()),
        ConversationState::PendingHuman | ConversationState::Resolved => ConversationOwner::Nobody,
        _ => ConversationOwner::Ai,
    };
    let person = if let ConversationOwner::Person(name) = &owner { Some(name.clone()) } else { None };
    ConversationHead {
        conversation: id.into(),
        tenant: tenant(),
        workflow: "shop".into(),
        state,
        owner,
        person,
        number: 3,
        user: Some("cust_789".into()),
        channel: "web".into(),
        hil_reason: Some("explicit_request".into()),
        confidence: Some(0.5),
        created_at: at(1),
        updated_at: at(2),
        ended_at: None,
        messages: 2,
        runs: 1,
        cost: Usd::from_nanos(7),
        rating: Some(5),
        last: Some("hello".into()),
        handovers: 2,
        handed_over_for: Some("explicit_request".into()),
        reopened: 1,
        waiting_since: Some(at(3)),
        first_response_at: None,
        erased_at: None,
    }
}

/// Begins `c-0`, `c-1`, … in these states.
async fn begun(store: &impl JournalStore, states: &[ConversationState]) -> Vec<Ownership> {
    let process = join(store).await;
    let mut all = Vec::new();
    for (number, state) in states.iter().enumerate() {
        let id = format!("c-{number}");
        let creates =
            NewAggregate { kind: AggregateKind::Conversation, workflow: "shop".into(), parent: None, owner: None };
        store.submit(InboxSubmission { creates: Some(creates), ..start(&id, None) }).await.expect("begins");
        let ownership = claimed(store, &id, process, super::fixtures::steady(0)).await.ownership;
        let projections = vec![ProjectionRow::Conversation(Box::new(head(&id, *state)))];
        store.append(JournalAppend { projections, ..entry(&id, ownership, 0) }).await.expect("appends");
        all.push(ownership);
    }
    all
}

pub async fn a_conversation_is_shown_as_the_last_append_said_and_to_its_tenant(
    store: &(impl JournalStore + ReadModel),
) {
    let ownership = begun(store, &[ConversationState::HumanActive]).await[0];
    let shown = async || store.conversation(&tenant(), &"c-0".into()).await.expect("reads");
    assert_eq!(shown().await, Some(head("c-0", ConversationState::HumanActive)));
    let resolved = head("c-0", ConversationState::Resolved);
    let projections = vec![ProjectionRow::Conversation(Box::new(resolved.clone()))];
    store.append(JournalAppend { projections, ..entry("c-0", ownership, 1) }).await.expect("appends");
    assert_eq!(shown().await, Some(resolved));
    assert_eq!(store.conversation(&other_tenant(), &"c-0".into()).await.expect("reads"), None);
    assert_eq!(store.conversations(&other_tenant(), ConversationFilter::default()).await.expect("reads"), []);
    // It is not a run.
    assert_eq!(store.run(&tenant(), &"c-0".into()).await.expect("reads"), None);
}

pub async fn conversations_are_listed_newest_first_by_status_state_and_owner(store: &(impl JournalStore + ReadModel)) {
    use ConversationState::{AiProcessing, Finished, HumanActive, PendingHuman};
    begun(store, &[AiProcessing, PendingHuman, HumanActive, Finished, PendingHuman]).await;
    let names = async |filter: ConversationFilter| {
        let heads = store.conversations(&tenant(), filter).await.expect("reads");
        heads.iter().map(|head| head.conversation.to_string()).collect::<Vec<_>>()
    };
    let all = ConversationFilter::default();
    assert_eq!(names(all.clone()).await, ["c-4", "c-3", "c-2", "c-1", "c-0"]);
    let escalated = ConversationFilter { status: Some(ConversationStatus::Escalated), ..all.clone() };
    assert_eq!(names(escalated.clone()).await, ["c-4", "c-2", "c-1"]);
    assert_eq!(names(ConversationFilter { state: Some(PendingHuman), ..all.clone() }).await, ["c-4", "c-1"]);
    assert_eq!(names(ConversationFilter { person: Some("ana".into()), ..all.clone() }).await, ["c-2"]);
    let page = ConversationFilter { limit: 2, ..escalated };
    assert_eq!(names(page.clone()).await, ["c-4", "c-2"]);
    assert_eq!(names(ConversationFilter { before: Some("c-2".into()), ..page }).await, ["c-1"]);
}

pub async fn what_is_counted_of_conversations_is_of_those_that_ended_since(store: &(impl JournalStore + ReadModel)) {
    let owners = begun(store, &[ConversationState::Finished; 4]).await;
    let plain = ConversationHead {
        ended_at: Some(at(10)),
        cost: Usd::from_nanos(7),
        rating: None,
        handovers: 0,
        handed_over_for: None,
        reopened: 0,
        waiting_since: None,
        ..head("c-0", ConversationState::Finished)
    };
    let asked = ConversationHead {
        conversation: "c-1".into(),
        rating: Some(4),
        handovers: 1,
        handed_over_for: Some("budget".into()),
        reopened: 3,
        waiting_since: Some(at(4)),
        first_response_at: Some(at(9)),
        ended_at: Some(at(21)),
        ..plain.clone()
    };
    let early = ConversationHead { conversation: "c-2".into(), ended_at: Some(at(9)), ..plain.clone() };
    let open = ConversationHead { conversation: "c-3".into(), ended_at: None, ..asked.clone() };
    for (ownership, head) in owners.iter().zip([plain, asked, early, open]) {
        let id = head.conversation.to_string();
        let projections = vec![ProjectionRow::Conversation(Box::new(head))];
        store.append(JournalAppend { projections, ..entry(&id, *ownership, 1) }).await.expect("appends");
    }
    let tally = store.conversations_ended(&tenant(), at(10)).await.expect("counts");
    let expected = ConversationCounts {
        ended: 2,
        handed_over: [("budget".to_owned(), 1)].into(),
        reopened: 1,
        total_duration: at(10).since(at(1)) + at(21).since(at(1)),
        cost: Usd::from_nanos(14),
        ratings: 1,
        rating_sum: 4,
        answered: 1,
        total_answer_time: at(9).since(at(4)),
    };
    assert_eq!(tally, expected);
    let theirs = store.conversations_ended(&other_tenant(), at(0)).await.expect("counts");
    assert_eq!(theirs, ConversationCounts::default());
}
