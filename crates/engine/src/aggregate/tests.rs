//! Tests of a routing queue and a conversation that exchange messages, each moved by its owner.

use baton_core::bundle::ContentHash;
use baton_core::conversation::{
    Conversation, ConversationCommand, ConversationState, ENQUEUE_RETRY_INTERVAL, HandoverPolicy, InboundMessage,
    NewConversation, PinnedVersion,
};
use baton_core::routing::{self, CONVERSATIONS_MAX, EnqueueRequest, Priority, RoutingQueue};
use baton_core::tool::Caller;
use baton_ports::journal::{AggregateHandle, ProcessId};

use super::*;

fn owner<P: Aggregate>(id: &str, it: P) -> AggregateOwner<P> {
    AggregateOwner {
        state: it,
        id: id.into(),
        tenant: "t".into(),
        ownership: Ownership { handle: AggregateHandle(1), process: ProcessId(1), epoch: 1 },
        seq: 0,
        inbox_seen: 0,
        now: Time::EPOCH,
        time: AggregateClock::default(),
        since_snapshot: (0, 0),
        snapshot_bytes: 0,
    }
}

/// The one append that results from these payloads.
fn takes<P: Aggregate>(owner: &mut AggregateOwner<P>, payloads: Vec<Vec<u8>>, now: Time) -> AggregateAppend {
    let first = owner.inbox_seen + 1;
    let items = (first..).zip(payloads);
    let item = |(item, payload): (i64, Vec<u8>)| InboxItem {
        item,
        command_id: item.to_string(),
        payload: payload.into(),
        at: now,
    };
    let mut items: Vec<InboxItem> = items.map(item).collect();
    owner.decide(&mut items, now.into(), &EngineOptions::default()).expect("is written").expect("something")
}

/// The messages to this aggregate.
fn to(write: &AggregateAppend, id: &str) -> Vec<Vec<u8>> {
    let to = write.append.outbox.iter().filter(|submit| submit.aggregate.as_str() == id);
    to.map(|submit| submit.payload.to_vec()).collect()
}

fn bytes(command: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(command).expect("JSON")
}

fn asks_for_a_person() -> Vec<Vec<u8>> {
    let version = PinnedVersion { workflow: "w".into(), bundle: ContentHash::of(b"w"), hil: HandoverPolicy::default() };
    let begun = NewConversation {
        conversation: "c".into(),
        tenant: "t".into(),
        user: None,
        channel: "web".into(),
        // No language has such a name.
        caller: Caller { language: Some("x".repeat(1_000)), ..Caller::default() },
        context: serde_json::Value::Null,
        service: routing::ServiceLevel::default(),
        version: version.clone(),
    };
    let text = "I want to speak to a human".to_owned();
    let message = InboundMessage { message_id: "m".into(), source: "s".into(), sequence: None, text, version };
    vec![bytes(&ConversationCommand::Begin(Box::new(begun))), bytes(&ConversationCommand::Message(message))]
}

fn waits(conversation: String) -> routing::RoutingCommand {
    routing::RoutingCommand::Enqueue(EnqueueRequest {
        conversation: conversation.as_str().into(),
        number: 1,
        wants: routing::RoutingRequirements::default(),
        priority: Priority::Normal,
        waiting_since: Time::EPOCH,
        first_response_by: None,
        resolve_by: None,
        service: routing::ServiceLevel::default(),
    })
}

#[test]
fn a_conversation_that_finds_the_desk_full_keeps_asking_and_has_its_place_in_line() {
    let begin = Time::from_ms(1_000_000);
    let mut full = RoutingQueue::new();
    for n in 0..CONVERSATIONS_MAX {
        full.decide(waits(format!("c{n:05}")), begin).expect("has room");
    }
    let (mut desk, mut talk) = (owner("desk/t", full), owner("c", Conversation::new()));
    let mut asked = takes(&mut talk, asks_for_a_person(), begin);
    let mut ids = vec![asked.append.outbox[0].command_id.clone()];
    let mut now = begin;
    for _ in 0..2 {
        let refused = takes(&mut desk, to(&asked, "desk/t"), now);
        assert_eq!(refused.refused[0].code, "DESK-005");
        assert_eq!((&refused.append.entry, desk.seq()), (&None, 0), "what is refused leaves no entry");
        let told = takes(&mut talk, to(&refused, "c"), now);
        assert_eq!((told.append.wake_at, told.refused), (Some(now + ENQUEUE_RETRY_INTERVAL), vec![]));
        now = now + ENQUEUE_RETRY_INTERVAL;
        asked = takes(&mut talk, Vec::new(), now);
        ids.push(asked.append.outbox[0].command_id.clone());
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "each is told: {ids:?}");
    let left = routing::RoutingCommand::Left { conversation: "c00007".into(), number: 1 };
    takes(&mut desk, vec![bytes(&left)], now);
    let taken = takes(&mut desk, to(&asked, "desk/t"), now);
    assert_eq!(taken.refused, []);
    let case = desk.state.conversation(&"c".into()).expect("is at the desk");
    assert_eq!((case.waiting_since, &case.wants.language), (begin, &None), "as if it had been there from the first");
    assert_eq!((talk.state.state(), talk.state.wake_at()), (ConversationState::PendingHuman, None));
}
