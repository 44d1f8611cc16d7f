use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::memory::{MessageSpeaker, SummarySource};
use baton_sim::conformance::fixtures::{other_tenant, tenant};
use baton_sim::fake::FakeStore;
use serde_json::json;

use super::head::OF_CUSTOMERS;
use super::*;

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Time {
        Time::from_ms(1_700_000_000_000)
    }
}

fn short() -> (ShortTermMemory, FakeStore) {
    let store = FakeStore::new();
    let marks = Arc::new(ForgetMarks::new(Arc::new(store.clone()), Arc::new(StoppedClock)));
    (ShortTermMemory::new(Arc::new(store.clone()), marks, Arc::new(StoppedClock)), store)
}

fn said(content: &str) -> ThreadMessage {
    ThreadMessage { id: None, speaker: MessageSpeaker::Customer, content: content.to_owned(), at: Time::from_ms(1) }
}

async fn say(short: &ShortTermMemory, conversation: &str, customer: Option<&str>, content: &str) {
    short.add_message(&tenant(), conversation, customer, said(content)).await.unwrap();
}

async fn words(short: &ShortTermMemory, conversation: &str, limit: usize) -> Vec<String> {
    let recent = short.recent(&tenant(), conversation, limit).await.unwrap();
    recent.into_iter().map(|message| message.content).collect()
}

#[tokio::test]
async fn recent_messages_are_the_last_oldest_first() {
    let (short, _) = short();
    assert_eq!(words(&short, "c", 5).await, [] as [&str; 0]);
    for number in 0..250 {
        say(&short, "c", None, &number.to_string()).await;
    }
    assert_eq!(words(&short, "c", 3).await, ["247", "248", "249"]);
    assert_eq!(words(&short, "c", 1_000).await.len(), RECENT_MAX);
    assert_eq!(short.read_whole(&tenant(), "c").await.unwrap().unwrap().messages.len(), 250);
    assert_eq!(short.thread(&tenant(), "c").await.unwrap().unwrap().messages, 250);
}

#[tokio::test]
async fn the_oldest_give_way() {
    let (short, store) = short();
    let kept = |head: &mut ThreadHead| head.push_message(&said("x"), 3);
    let mut head = ThreadHead::beginning(Time::from_ms(1));
    assert_eq!(
        [kept(&mut head), kept(&mut head), kept(&mut head), kept(&mut head), kept(&mut head)],
        [None, None, None, Some(0), Some(1)]
    );
    say(&short, "c", None, "one").await;
    drop(store);
}

#[tokio::test]
async fn a_message_of_a_known_id_is_not_kept_again() {
    let (short, _) = short();
    for _ in 0..3 {
        let message = ThreadMessage { id: Some("m1".into()), ..said("once") };
        short.add_message(&tenant(), "c", None, message).await.unwrap();
    }
    assert_eq!(words(&short, "c", 9).await, ["once"]);
}

#[tokio::test]
async fn messages_of_many_callers_are_all_kept() {
    let (short, _) = short();
    let short = Arc::new(short);
    let saying = (0..10).map(|number| {
        let short = short.clone();
        async move { say(&short, "c", Some("ana"), &number.to_string()).await }
    });
    futures::future::join_all(saying).await;
    let mut all = words(&short, "c", 50).await;
    all.sort();
    assert_eq!(all, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn conversations_whose_names_begin_alike_are_apart() {
    let (short, _) = short();
    say(&short, "c", None, "one").await;
    say(&short, "c1", None, "two").await;
    say(&short, "c-1", None, "three").await;
    assert_eq!(words(&short, "c", 9).await, ["one"]);
    assert_eq!(short.recent(&other_tenant(), "c", 9).await.unwrap(), []);
}

#[tokio::test]
async fn a_session_is_laid_over_field_by_field() {
    let (short, _) = short();
    let set = async |fields: Value| short.set_session(&tenant(), "c", fields.as_object().unwrap()).await;
    set(json!({"city": "Madrid", "step": 1})).await.unwrap();
    set(json!({"step": 2, "city": null})).await.unwrap();
    let thread = short.thread(&tenant(), "c").await.unwrap().unwrap();
    assert_eq!(thread.session, json!({"step": 2}));
    let refused = set(json!({"x": "y".repeat(SESSION_BYTES_MAX)})).await.unwrap_err();
    assert!(refused.to_string().contains("a conversation's session is"), "{refused}");
    assert_eq!(short.thread(&tenant(), "c").await.unwrap().unwrap().session, json!({"step": 2}));
}

#[tokio::test]
async fn a_summary_never_goes_back() {
    let (short, _) = short();
    say(&short, "c", None, "one").await;
    let summary =
        |covers, text: &str| ThreadSummary { text: text.to_owned(), covers, by: SummarySource::Model, why: None };
    let begun = (short.watermark(&tenant()).await.unwrap(), StoppedClock.now());
    short.set_summary(&tenant(), "c", begun, summary(5, "five")).await.unwrap();
    let kept = short.set_summary(&tenant(), "c", begun, summary(3, "three")).await.unwrap();
    assert_eq!(kept.unwrap().text, "five");
}

#[tokio::test]
async fn what_breaks_a_limit_is_refused_by_name() {
    let (short, _) = short();
    let cases = [
        ("", said("x"), "a conversation's id"),
        ("a\u{1f}b", said("x"), "control character"),
        ("c", said(&"x".repeat(MESSAGE_BYTES_MAX + 1)), "a message is"),
    ];
    for (conversation, message, expect) in cases {
        let refused = short.add_message(&tenant(), conversation, None, message).await.unwrap_err().to_string();
        assert!(refused.contains(expect), "{refused}");
    }
    let long = "x".repeat(ID_BYTES_MAX + 1);
    let refused = short.add_message(&tenant(), "c", Some(&long), said("x")).await.unwrap_err().to_string();
    assert!(refused.contains("a customer's id is 257, over the limit of 256"), "{refused}");
}

#[tokio::test]
async fn one_customers_conversations_go_and_nobody_elses() {
    let (short, store) = short();
    for number in 0..200 {
        say(&short, "ana-1", Some("ana"), &number.to_string()).await;
    }
    say(&short, "ana-2", None, "anonymous at first").await;
    say(&short, "ana-2", Some("ana"), "then known").await;
    say(&short, "anabel-1", Some("anabel"), "another").await;
    assert_eq!(short.forget(&tenant(), "ana").await.unwrap(), (2, 202));
    assert_eq!(short.forget(&tenant(), "ana").await.unwrap(), (0, 0));
    assert_eq!(short.thread(&tenant(), "ana-1").await.unwrap(), None);
    assert_eq!(words(&short, "anabel-1", 9).await, ["another"]);
    for space in [HEADS, MESSAGES, OF_CUSTOMERS] {
        let left = store.list(&tenant(), space, "", None, 100).await.unwrap();
        assert!(left.iter().all(|record| record.key.contains("anabel")), "{left:?}");
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_removal_is_removed_by_the_next() {
    let (short, store) = short();
    say(&short, "c", Some("ana"), "one").await;
    // As after a process was killed between removing the head and the customer's row.
    let remove = RecordOp::Delete { space: HEADS.to_owned(), key: "c".to_owned() };
    store.commit(&tenant(), vec![remove], Time::from_ms(1)).await.unwrap();
    assert_eq!(short.forget(&tenant(), "ana").await.unwrap(), (1, 0));
    assert_eq!(store.list(&tenant(), OF_CUSTOMERS, "", None, 9).await.unwrap(), []);
}
