use baton_core::time::Time;
use baton_ports::memory::{MessageSpeaker, MessageThread, SummarySource, ThreadSummary};
use serde_json::{Map, json};

use super::*;

fn message(number: usize) -> ThreadMessage {
    // 25 tokens, including the speaker.
    let content = format!("{number:02}{}", "x".repeat(90));
    ThreadMessage { id: None, speaker: MessageSpeaker::Agent, content, at: Time::from_ms(0) }
}

fn document(tokens: usize) -> CitedPassage {
    CitedPassage {
        content: "y".repeat(tokens * 4),
        score: 1.0,
        document: "d".into(),
        title: String::new(),
        about: None,
        heading: String::new(),
        chunk: 0,
        begins: 0,
        ends: 0,
        metadata: Map::new(),
    }
}

fn found(messages: usize, documents: &[usize], conversations: usize) -> GatheredContext {
    let conversation = SimilarConversation {
        conversation_id: "c".into(),
        summary: "z".repeat(36),
        outcome: "okay".into(),
        score: 1.0,
    };
    GatheredContext {
        standing: None,
        messages: (0..messages).map(message).collect(),
        documents: documents.iter().map(|tokens| document(*tokens)).collect(),
        conversations: vec![conversation; conversations],
    }
}

/// Checks the numbers of messages, documents and conversations, and the tokens they take.
#[track_caller]
fn fits(found: GatheredContext, tokens: usize, expect: [usize; 4]) -> MemoryContext {
    let context = found.fit_into(tokens);
    let counts = [
        context.recent_messages.len(),
        context.relevant_documents.len(),
        context.similar_conversations.len(),
        context.tokens,
    ];
    assert_eq!(counts, expect, "{:?}", context.left_out);
    context
}

#[test]
fn what_fits_is_all_there() {
    let context = fits(found(4, &[50, 50], 2), 1_000, [4, 2, 2, 221]);
    assert_eq!(context.left_out, OmittedCounts::default());
}

#[test]
fn the_newest_messages_and_the_best_documents_stay() {
    let context = fits(found(40, &[100, 100, 100, 100, 100], 3), 500, [10, 2, 3, 481]);
    assert_eq!(context.left_out, OmittedCounts { messages: 30, unsummarised: 0, documents: 3, conversations: 0 });
    assert!(
        context.recent_messages[0].content.starts_with("30") && context.recent_messages[9].content.starts_with("39")
    );
}

#[test]
fn what_messages_do_not_need_documents_get() {
    fits(found(1, &[100, 100, 100, 100, 100], 0), 500, [1, 4, 0, 426]);
}

#[test]
fn a_budget_too_small_for_anything_holds_nothing() {
    fits(found(3, &[100], 3), 5, [0, 0, 0, 1]);
}

#[test]
fn the_summary_and_the_session_come_first() {
    let mut found = found(10, &[100], 0);
    let thread = MessageThread {
        conversation: "c".into(),
        customer: None,
        summary: Some(ThreadSummary { text: "s".repeat(200), covers: 4, by: SummarySource::Model, why: None }),
        session: json!({"city": "Madrid"}),
        messages: 14,
    };
    found.standing = Some(ThreadStatus { unsummarised: 4, began: Time::from_ms(0), thread });
    let context = found.fit_into(100);
    assert_eq!(context.left_out.unsummarised, 9, "ten are not in the summary, and one of them is shown");
    assert_eq!(context.summary.map(|text| text.len()), Some(200));
    assert_eq!((context.session, context.recent_messages.len()), (json!({"city": "Madrid"}), 1));
}
