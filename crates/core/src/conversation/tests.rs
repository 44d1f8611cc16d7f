//! Tests of the conversation's rules, one by one.

mod fixture;
mod transitions;

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::fault::Fault;
use crate::routing::{Priority, ServiceLevel};
use crate::run::RunState;
use fixture::ConversationFixture;

#[test]
fn what_is_promised_is_the_last_that_was_said_and_goes_along_to_the_desk() {
    let level = |priority, first_response_ms| ServiceLevel { priority, first_response_ms, resolution_ms: None };
    let mut w = ConversationFixture::begun();
    let by = || "ana".to_owned();
    w.submit(ConversationCommand::ServiceLevel { by: by(), service: level(Some(Priority::High), None) });
    w.refuses(ConversationCommand::ServiceLevel { by: by(), service: level(None, Some(5)) }, "CONV-008");
    w.says("hello");
    let asks = json!({ "action": "handover_to_human", "config": { "reason": "angry", "priority": "urgent", "first_response_ms": "60000" } });
    w.run_ends("c.1", |over| {
        (over.handover, over.service) = (Some("angry".into()), ServiceLevel::from_output(&asks["config"]));
    });
    assert_eq!(w.it.service_level(), level(Some(Priority::Urgent), Some(60_000)));
    assert_eq!(w.it.handover().expect("handed over").service, w.it.service_level());
    w.submit(ConversationCommand::ServiceLevel { by: by(), service: level(Some(Priority::Low), None) });
    assert_eq!(w.it.service_level(), level(Some(Priority::Low), Some(60_000)), "what is left out stays");
    w.submit(ConversationCommand::TakeOver { by: by() }).submit(ConversationCommand::Resolve { by: by() });
    w.refuses(ConversationCommand::ServiceLevel { by: by(), service: level(Some(Priority::High), None) }, "CONV-005");
}

#[test]
fn what_an_output_promises_and_cannot_be_read_is_nothing() {
    let said = |output: serde_json::Value| ServiceLevel::from_output(&output);
    assert!(said(json!({ "priority": "asap", "first_response_ms": "soon", "resolution_ms": -1 })).is_usual());
    assert_eq!(said(json!({ "first_response_ms": 1 })).first_response_ms, Some(1_000), "brought within its limits");
}

#[test]
fn a_message_begins_a_run_and_its_answer_is_posted() {
    let mut w = ConversationFixture::begun();
    w.says("hello").run_ends("c.1", |over| over.reply = Some("Hi!".into()));
    assert_eq!(w.public(), ["customer: hello", "ai: Hi!"]);
    assert_eq!((w.it.state(), w.it.is_idle()), (ConversationState::Finished, true));
    w.says("more");
    assert_eq!(w.began(), ["c.1", "c.2"]);
}

#[test]
fn a_run_that_waits_is_handed_the_next_message_and_one_at_work_is_not() {
    let mut w = ConversationFixture::begun();
    w.says("book").says("tomorrow").says("please");
    assert_eq!(w.given(), [0; 0], "a run at work is handed nothing");
    w.run_asks("c.1", Some("When?"), true, 0);
    assert_eq!(w.given(), [2]);
    w.run_asks("c.1", Some("What name?"), true, 1);
    assert_eq!(w.given(), [2, 3]);
    assert_eq!(w.began(), ["c.1"]);
}

#[test]
fn what_an_ended_run_never_took_goes_to_the_next_before_anything_newer() {
    let mut w = ConversationFixture::begun();
    w.says("one").run_asks("c.1", None, true, 0).says("two");
    // The run stopped waiting at this moment: the message is on its way to it.
    w.run_ends("c.1", |over| over.heard.arrived = 0).says("three");
    assert_eq!(w.began(), ["c.1"], "what comes back is older");
    w.submit(ConversationCommand::RunReturned { run: "c.1".into(), sequence: 1 });
    assert_eq!(w.messages_of_runs(), ["one", "two"]);
    w.run_ends("c.2", |_| {});
    assert_eq!(w.messages_of_runs(), ["one", "two", "three"]);
}

#[test]
fn what_an_ended_run_kept_goes_to_the_next() {
    let mut w = ConversationFixture::begun();
    w.says("one").run_asks("c.1", None, true, 0).says("two");
    w.run_ends("c.1", |over| (over.heard.arrived, over.heard.kept) = (1, vec![1]));
    assert_eq!(w.messages_of_runs(), ["one", "two"]);
}

#[test]
fn numbered_messages_are_handled_in_their_order_and_a_gap_is_given_up() {
    let mut w = ConversationFixture::begun();
    w.numbered("b", 2).numbered("a", 1).numbered("d", 4);
    assert_eq!(w.public(), ["customer: a", "customer: b"]);
    let again = w.message("b", Some(2));
    w.refuses(again, "CONV-007");
    w.advance_time(Duration::from_secs(5));
    assert_eq!(w.public(), ["customer: a", "customer: b", "customer: d"]);
    assert!(w.line(3).after_gap && !w.line(2).after_gap);
    w.numbered("c", 3);
    assert!(w.line(4).after_gap, "what comes after it was given up is marked, and never dropped");
}

#[test]
fn whoever_asks_for_a_person_waits_for_one_and_the_ai_never_sees_it() {
    for words in ["I want to SPEAK  to human", "quiero hablar con una persona, por favor"] {
        let mut w = ConversationFixture::begun();
        w.says(words);
        assert_eq!((w.it.state(), w.began().len()), (ConversationState::PendingHuman, 0), "{words}");
        assert_eq!(w.it.handover().unwrap().trigger, HandoverTrigger::ExplicitRequest);
    }
}

#[test]
fn one_owner_speaks() {
    let mut w = ConversationFixture::begun();
    w.says("hello").refuses(post("ana", 1), "CONV-003");
    w.submit(ConversationCommand::TakeOver { by: "ana".into() });
    w.refuses(post("ben", 2), "CONV-003").refuses(ConversationCommand::TakeOver { by: "ben".into() }, "CONV-003");
    w.refuses(post("ana", 1), "CONV-004").submit(post("ana", 2));
    // The answer that was on its way is a note for the person.
    w.run_ends("c.1", |over| over.reply = Some("Hi!".into()));
    assert_eq!(w.public(), ["customer: hello", "person: words"]);
    assert_eq!(w.line(3).from, LineAuthor::Suggestion { run: "c.1".into() });
    w.submit(ConversationCommand::GiveBack { by: "ana".into(), note: "be kind".into() });
    w.refuses(post("ana", 2), "CONV-003");
}

#[test]
fn a_run_from_before_the_hand_back_does_not_speak_for_the_ai_after_it() {
    let mut w = ConversationFixture::begun();
    w.says("hello").submit(ConversationCommand::TakeOver { by: "ana".into() });
    w.submit(ConversationCommand::GiveBack { by: "ana".into(), note: String::new() });
    w.run_ends("c.1", |over| over.reply = Some("stale".into()));
    assert_eq!(w.public(), ["customer: hello"]);
}

#[test]
fn messages_to_a_person_are_theirs_and_no_runs() {
    let mut w = ConversationFixture::begun();
    w.submit(ConversationCommand::TakeOver { by: "ana".into() }).says("are you there?");
    assert!(w.began().is_empty() && w.it.is_idle());
}

#[test]
fn each_trigger_hands_over_with_what_was_tried() {
    type Change = fn(&mut RunResult);
    let cases: [(HandoverTrigger, Change); 4] = [
        (HandoverTrigger::ConfidenceThreshold, |over| over.confidence = Some(0.6)),
        (HandoverTrigger::AgentDecision, |over| over.handover = Some("a refund".into())),
        (HandoverTrigger::FailedCompensation, |over| (over.not_undone, over.state) = (true, RunState::Failed)),
        (HandoverTrigger::Budget, |over| {
            over.fault = Some(Fault::new("BUDGET_EXCEEDED", "no money"));
            over.state = RunState::Failed;
        }),
    ];
    for (trigger, change) in cases {
        let mut w = ConversationFixture::begun();
        w.says("I want to return order #12345").run_ends("c.1", |over| {
            over.reply = Some("Perhaps.".into());
            over.skills = vec!["returns".into()];
            over.tried = vec![AttemptedStep {
                what: "look".into(),
                kind: "tool".into(),
                outcome: "completed".into(),
                error: None,
            }];
            change(over);
        });
        let handover = w.it.handover().unwrap();
        assert_eq!((w.it.state(), handover.trigger), (ConversationState::PendingHuman, trigger));
        assert!(handover.summary.contains("order #12345") && handover.tried.len() == 1, "{handover:?}");
        assert_eq!(handover.skills, ["returns"]);
        // An answer with low confidence is not posted, but may be a good draft.
        let posts = trigger == HandoverTrigger::AgentDecision;
        assert_eq!(w.public().len(), 1 + usize::from(posts), "{trigger:?}");
        assert_eq!(handover.suggested_reply.is_some(), !posts);
    }
}

#[test]
fn errors_in_a_row_hand_over_and_the_customer_is_told_of_each_before() {
    let mut w = ConversationFixture::begun();
    for n in 1..=3 {
        w.says("again").run_ends(&format!("c.{n}"), |over| over.state = RunState::Failed);
    }
    assert_eq!(w.it.handover().unwrap().trigger, HandoverTrigger::ErrorThreshold);
    assert_eq!(w.public().iter().filter(|line| line.starts_with("ai: Something went wrong")).count(), 2);
}

#[test]
fn given_back_with_a_note_it_does_not_go_straight_into_the_same_handover() {
    let mut w = ConversationFixture::begun();
    w.says("hello").run_ends("c.1", |over| over.confidence = Some(0.1));
    w.submit(ConversationCommand::Assigned { stay: 2, number: 3, person: "ana".into() });
    w.submit(ConversationCommand::GiveBack { by: "ana".into(), note: "it is order 5".into() });
    assert_eq!(w.it.state(), ConversationState::BackToAi);
    w.says("and now?");
    assert_eq!(w.note(), Some("it is order 5"));
    w.run_ends("c.2", |over| (over.confidence, over.reply) = (Some(0.1), Some("Done.".into())));
    assert_eq!(w.it.state(), ConversationState::Finished);
    // After the next run the trigger counts again; an explicit request for a person counts at any time.
    w.says("more").run_ends("c.3", |over| over.confidence = Some(0.1));
    assert_eq!(w.it.state(), ConversationState::PendingHuman);
    w.submit(ConversationCommand::TakeOver { by: "ana".into() });
    w.submit(ConversationCommand::GiveBack { by: "ana".into(), note: String::new() }).says("talk to agent");
    assert_eq!(w.it.state(), ConversationState::PendingHuman);
}

#[test]
fn the_desk_is_heard_of_this_stay_only() {
    let mut w = ConversationFixture::begun();
    w.says("speak to human");
    w.refuses(ConversationCommand::Assigned { stay: 1, number: 3, person: "ana".into() }, "CONV-004");
    w.submit(ConversationCommand::Assigned { stay: 2, number: 3, person: "ana".into() }).submit(post("ana", 3));
    w.submit(ConversationCommand::Requeued { stay: 2, number: 4 }).refuses(post("ana", 3), "CONV-003");
    w.submit(ConversationCommand::Assigned { stay: 2, number: 5, person: "ben".into() }).submit(post("ben", 5));
    w.submit(ConversationCommand::TakeOver { by: "ben".into() });
    w.submit(ConversationCommand::Resolve { by: "ben".into() });
    w.refuses(ConversationCommand::Requeued { stay: 2, number: 7 }, "CONV-004");
}

#[test]
fn a_conversation_that_the_desk_has_no_room_for_asks_again_until_it_has_or_somebody_takes_it() {
    let mut w = ConversationFixture::begun();
    w.says("speak to human").refuses(not_queued(1), "CONV-004");
    for attempt in 1..=2 {
        w.submit(not_queued(2));
        assert_eq!(w.it.wake_at(), Some(w.now + ENQUEUE_RETRY_INTERVAL));
        w.advance_time(ENQUEUE_RETRY_INTERVAL - Duration::from_millis(1));
        assert_eq!(asked_again(&w), attempt - 1, "not before its time");
        w.advance_time(Duration::from_millis(1));
        assert_eq!((asked_again(&w), w.it.wake_at()), (attempt, None));
        assert!(w.events.contains(&ConversationEvent::AskedAgain { number: 2, attempt: attempt as u64 }));
    }
    w.submit(ConversationCommand::Assigned { stay: 2, number: 3, person: "ana".into() })
        .refuses(not_queued(2), "CONV-004");

    let mut w = ConversationFixture::begun();
    w.says("speak to human").submit(not_queued(2)).submit(ConversationCommand::TakeOver { by: "ana".into() });
    w.advance_time(ENQUEUE_RETRY_INTERVAL * 2);
    assert_eq!((asked_again(&w), w.it.wake_at()), (0, None), "it needs nobody of the desk's any more");
}

fn not_queued(stay: u64) -> ConversationCommand {
    ConversationCommand::NotQueued { stay, reason: "the desk is full".into() }
}

fn asked_again(w: &ConversationFixture) -> usize {
    w.events.iter().filter(|event| matches!(event, ConversationEvent::AskedAgain { .. })).count()
}

#[test]
fn a_handover_asks_for_no_more_skills_than_the_desk_knows() {
    let mut w = ConversationFixture::begun();
    w.says("hello").run_ends("c.1", |over| {
        over.handover = Some("a refund".into());
        over.skills = (0..100).map(|n| format!("skill {n}")).collect();
    });
    assert_eq!(w.it.handover().unwrap().skills.len(), crate::routing::SKILLS_MAX);
}

#[test]
fn after_it_is_resolved_it_is_rated_once_and_opened_again_by_a_word() {
    let mut w = ConversationFixture::begun();
    w.says("speak to human").submit(ConversationCommand::TakeOver { by: "ana".into() });
    w.refuses(ConversationCommand::Rate { score: 5, comment: String::new() }, "CONV-005");
    w.submit(ConversationCommand::Resolve { by: "ana".into() });
    w.refuses(ConversationCommand::Rate { score: 6, comment: String::new() }, "CONV-008");
    w.submit(ConversationCommand::Rate { score: 5, comment: "good".into() });
    w.refuses(ConversationCommand::Rate { score: 1, comment: String::new() }, "CONV-005");
    w.says("one more thing");
    assert_eq!((w.it.state(), w.it.reopen_count(), w.began().len()), (ConversationState::AiProcessing, 1, 1));
}

#[test]
fn a_silent_conversation_is_closed_and_its_run_told_so() {
    let mut w = ConversationFixture::begun();
    w.says("hello").run_asks("c.1", Some("Who are you?"), true, 0).advance_time(IDLE_TIMEOUT);
    assert_eq!(w.it.state(), ConversationState::Finished);
    assert!(w.events.contains(&ConversationEvent::Closed { run: Some("c.1".into()) }));
}

#[test]
fn what_is_too_much_is_refused_by_name() {
    let mut w = ConversationFixture::begun();
    let long = w.message(&"x".repeat(TEXT_BYTES_MAX + 1), None);
    w.refuses(long, "CONV-006");
    for n in 0..QUEUE_MAX {
        w.says(&format!("{n}"));
    }
    // One of them started the run.
    w.says("last");
    let beyond = w.message("beyond", None);
    w.refuses(beyond, "CONV-006");
    w.run_ends("c.1", |_| {}).says("room");
}

#[test]
fn a_run_that_says_much_is_cut_short() {
    let mut w = ConversationFixture::begun();
    w.says("hello").run_ends("c.1", |over| over.reply = Some("é".repeat(TEXT_BYTES_MAX)));
    assert!(w.line(2).text.len() <= TEXT_BYTES_MAX && w.line(2).text.ends_with('…'));
}

#[test]
fn every_code_has_a_page_and_every_page_its_code() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors/conversation");
    for (code, _) in ConversationRefusal::CODES {
        let page = std::fs::read_to_string(pages.join(format!("{code}.md"))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {code}: ")), "docs/errors/conversation/{code}.md");
    }
    assert_eq!(std::fs::read_dir(&pages).unwrap().count(), ConversationRefusal::CODES.len());
}

#[test]
fn words_for_the_customer_are_found_in_what_a_run_says() {
    use serde_json::json;
    let said = |output| reply_text(&output);
    assert_eq!(said(json!("hi")).as_deref(), Some("hi"));
    assert_eq!(said(json!({"answer": "hi", "confidence": 1})).as_deref(), Some("hi"));
    assert_eq!(said(json!({"action": "finish_conversation", "config": {"text": "bye"}})).as_deref(), Some("bye"));
    assert_eq!(said(json!({"answer": {"text": "deep"}})).as_deref(), Some("deep"));
    assert_eq!((said(json!({"intent": "x"})), said(json!("  ")), said(json!(null))), (None, None, None));
}

fn post(by: &str, number: u64) -> ConversationCommand {
    ConversationCommand::Post { by: by.into(), number, text: "words".into() }
}
