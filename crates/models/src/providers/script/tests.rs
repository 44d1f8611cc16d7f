use std::time::Duration;

use baton_core::model::{FinishReason, ModelReply, ModelRequest, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_ports::models::ReplyDelta;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{ReplyScript, ScriptFile};
use crate::fault::code;
use crate::providers::test_support::{asker, request, spec};
use crate::providers::{AttemptSpend, ModelProvider, ProviderError, ProviderReply, ProviderRequest};

const LIMIT: Duration = Duration::from_secs(60);

fn file(document: Value) -> ScriptFile {
    ScriptFile { name: "replies/clinic.yaml".into(), document }
}

fn script(replies: Value) -> ReplyScript {
    ReplyScript::new(&[file(json!({ "replies": replies }))]).expect("a script")
}

async fn attempt(script: &ReplyScript, request: &ModelRequest, number: u32) -> Result<ModelReply, ModelCallError> {
    let asker = asker(number);
    let model = request.model.as_deref().unwrap_or("gpt-3.5-turbo");
    let spec = spec(model);
    let spec = spec.as_ref();
    let ask = ProviderRequest {
        asker: &asker,
        request,
        model,
        spec,
        limit: LIMIT,
        first_token: None,
        key: None,
        pieces: None,
    };
    script.ask(&ask).await.map(|answered| answered.reply).map_err(|failure| failure.fault)
}

async fn reply(replies: Value, messages: &[&str]) -> ModelReply {
    attempt(&script(replies), &request("router", messages), 1).await.expect("a reply")
}

async fn fault(replies: Value, messages: &[&str]) -> ModelCallError {
    attempt(&script(replies), &request("router", messages), 1).await.expect_err("a fault")
}

fn wrong(document: Value) -> String {
    ReplyScript::new(&[file(document)]).expect_err("an error").to_string()
}

#[tokio::test]
async fn a_reply_says_that_it_was_scripted() {
    let reply = reply(json!([{"agent": "router", "content": "Hola"}]), &["u: hi"]).await;
    let expected = ModelReply {
        content: "Hola".into(),
        tool_calls: Vec::new(),
        thinking: None,
        finish: FinishReason::Stop,
        usage: TokenUsage::default(),
        model: "gpt-3.5-turbo".into(),
        provider: "script".into(),
        cost: Usd::ZERO,
        latency_ms: 0,
    };
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn the_first_reply_that_fits_answers() {
    let replies = json!([
        {"agent": "sales", "content": "another agent"},
        {"agent": "router", "match": "refund*order", "content": "wild"},
        {"agent": ["x", "rou*"], "match": {"prompt": ["CITA", "appointment"]}, "json": {"agent": "schedule"}},
        {"agent": "*", "match": {"last": "yes", "system": "kind"}, "content": "last"},
        {"agent": "router", "match": {"jmespath": "turn == `1` && contains(tools, 'x')"}, "content": "never"},
        {"agent": "router", "content": "any"},
    ]);
    for (messages, expected) in [
        (vec!["u: a Refund for my order"], "wild"),
        (vec!["u: order a refund"], "any"),
        (vec!["u: ¿Tienen cita mañana?"], r#"{"agent":"schedule"}"#),
        (vec!["s: Be kind.", "u: hm", "a: sure?", "u: YES please"], "last"),
        (vec!["u: YES please"], "any"),
    ] {
        assert_eq!(reply(replies.clone(), &messages).await.content, expected, "{messages:?}");
    }
}

#[tokio::test]
async fn the_turn_is_counted_from_the_messages() {
    let replies = json!([
        {"agent": "router", "turn": 3, "content": "third"},
        {"agent": "router", "turns": [
            {"tool_calls": [{"name": "get_order", "arguments": {"id": "7"}}, {"name": "now"}]},
            {"content": "second"},
        ]},
    ]);
    let first = reply(replies.clone(), &["u: where?"]).await;
    assert_eq!(first.finish, FinishReason::ToolCalls);
    let calls: Vec<_> = first.tool_calls.iter().map(|call| (call.id.as_str(), call.arguments.clone())).collect();
    assert_eq!(calls, [("call_1_0", json!({"id": "7"})), ("call_1_1", json!({}))]);
    assert_eq!(reply(replies.clone(), &["u: where?", "a: ", "t: {}"]).await.content, "second");
    assert_eq!(reply(replies.clone(), &["u: where?", "a: ", "t: {}", "a: ", "u: x"]).await.content, "third");
    let fault = fault(replies, &["u: ?", "a: ", "a: ", "a: "]).await;
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::NO_SCRIPTED_REPLY, false));
    assert!(fault.fault.message.contains("agent `router`, turn 4"), "{fault:?}");
    assert!(fault.fault.message.contains("replies[0]: it is for turn 3"), "{fault:?}");
    assert!(fault.fault.message.contains("replies[1]: it has only 2 turns"), "{fault:?}");
}

#[tokio::test]
async fn the_same_request_has_the_same_reply_whoever_asks() {
    let replies = json!([{"agent": "router", "turns": [{"content": "one"}, {"content": "two"}]}]);
    let (before, after) = (script(replies.clone()), script(replies));
    let request = request("router", &["u: x", "a: one", "u: y"]);
    for script in [&before, &before, &after] {
        assert_eq!(attempt(script, &request, 1).await.expect("a reply").content, "two");
    }
}

#[tokio::test]
async fn faults_come_at_the_attempts_they_are_written_for() {
    let script = script(json!([{"agent": "router", "content": "1234", "faults": [
        {"fault": "rate_limit", "attempts": 1, "retry_after_ms": 250},
        {"fault": "timeout", "attempts": [2]},
        {"fault": "malformed", "attempts": [3]},
        {"fault": "unavailable", "attempts": [4]},
        {"fault": "authentication", "attempts": [5]},
        {"fault": "truncated", "attempts": [6]},
    ]}]));
    let request = request("router", &["u: x"]);
    for (number, expected, retryable, retry_after) in [
        (1, code::RATE_LIMIT_EXCEEDED, true, Some(250)),
        (2, code::TIMEOUT, true, None),
        (3, code::MALFORMED_REPLY, true, None),
        (4, code::SERVICE_UNAVAILABLE, true, None),
        (5, code::AUTHENTICATION_FAILED, false, None),
    ] {
        let fault = attempt(&script, &request, number).await.expect_err("a fault");
        assert_eq!((fault.fault.code.as_ref(), fault.retryable, fault.retry_after), (expected, retryable, retry_after));
    }
    let cut = attempt(&script, &request, 6).await.expect("a reply");
    assert_eq!((cut.content.as_str(), cut.finish), ("12", FinishReason::Length));
    assert_eq!(attempt(&script, &request, 7).await.expect("a reply").content, "1234");
}

#[tokio::test]
async fn a_fault_without_attempts_comes_every_time() {
    let replies = json!([{"agent": "router", "faults": [{"fault": "context_too_long"}]}]);
    assert_eq!(fault(replies, &["u: x"]).await.fault.code, code::CONTEXT_TOO_LONG);
}

#[tokio::test]
async fn written_tokens_are_priced_and_a_written_price_wins() {
    let usage = json!({"input_tokens": 1000, "output_tokens": 1000});
    let priced = reply(json!([{"agent": "router", "content": "x", "usage": usage}]), &["u: x"]).await;
    assert_eq!(priced.cost, Usd::from_f64(0.002));
    let written = json!([{"agent": "router", "content": "x", "usage": usage, "cost_usd": 0.0008, "model": "gpt-4"}]);
    let written = reply(written, &["u: x"]).await;
    assert_eq!((written.cost, written.model.as_str()), (Usd::from_f64(0.0008), "gpt-4"));
}

#[tokio::test(start_paused = true)]
async fn latency_is_waited_for_and_ends_at_the_limit() {
    let slow = script(json!([{"agent": "router", "content": "x", "latency_ms": 1500}]));
    let began = Instant::now();
    assert_eq!(attempt(&slow, &request("router", &["u: x"]), 1).await.expect("a reply").latency_ms, 1_500);
    assert_eq!(began.elapsed(), Duration::from_millis(1_500));
    let slower = script(json!([{"agent": "router", "content": "x", "latency_ms": 3_600_000}]));
    let fault = attempt(&slower, &request("router", &["u: x"]), 1).await.expect_err("too late");
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::TIMEOUT, true));
    assert_eq!(began.elapsed(), Duration::from_millis(61_500));
}

#[tokio::test]
async fn a_request_nobody_wrote_a_reply_for_is_told_what_there_is() {
    let other = fault(json!([{"agent": "routr", "content": "x"}]), &["u: x"]).await;
    assert!(other.fault.message.contains("there are replies for routr; did you mean `routr`?"), "{other:?}");
    let none = fault(json!([]), &["u: x"]).await;
    assert!(none.fault.message.contains("add a file to `replies/`"), "{none:?}");
    let unlike =
        fault(json!([{"agent": "router", "match": {"last": ["cita", "hora"]}, "content": "x"}]), &["u: x"]).await;
    assert!(unlike.fault.message.contains(r#""cita" or "hora" is not in `last`"#), "{unlike:?}");
}

#[tokio::test]
async fn a_match_that_cannot_be_evaluated_is_named() {
    let fault =
        fault(json!([{"agent": "router", "match": {"jmespath": "nobody == `1`"}, "content": "x"}]), &["u: x"]).await;
    assert_eq!((fault.fault.code.as_ref(), fault.retryable), (code::SCRIPT_FAILED, false));
    assert!(fault.fault.message.contains("replies/clinic.yaml, replies[0]") && fault.fault.message.contains("nobody"));
}

#[tokio::test]
async fn templates_see_the_request_and_keep_types() {
    let replies = json!([{"agent": "router", "match": {"expr": "results | length == 1"}, "turns": [
        {"content": "never"},
        {
            "json": {"slot": "{{ results[0].data.slots[0] }}", "all": "{{ results[0].data.slots }}", "turn": "{{ turn }}"},
            "tool_calls": [{"name": "ask_customer", "arguments": {"question": "{{ results[0].data.slots | join(', ') }}?"}}]
        },
    ]}]);
    let messages = ["u: cita", "a: ", r#"t: {"success": true, "data": {"slots": ["10:00", "11:00"]}}"#];
    let reply = reply(replies.clone(), &messages).await;
    assert_eq!(reply.content, r#"{"all":["10:00","11:00"],"slot":"10:00","turn":2}"#);
    assert_eq!(reply.tool_calls[0].arguments, json!({"question": "10:00, 11:00?"}));
    let failed = fault(replies, &["u: cita", "a: ", r#"t: {"success": false}"#]).await;
    assert_eq!(failed.fault.code, code::SCRIPT_FAILED);
    assert!(failed.fault.message.contains("replies[0]: its template failed") && failed.fault.message.contains("data"));
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_place() {
    let in_replies = |reply: Value| wrong(json!({"replies": [{"agent": "a", "content": "x"}, reply]}));
    for (reply, place, problem) in [
        (json!({"content": "x"}), "replies[1].agent", "name the agent"),
        (json!({"agent": "a"}), "replies[1]", "nothing is answered"),
        (json!({"agent": "a", "contnt": "x"}), "replies[1]", "unknown field `contnt`"),
        (json!({"agent": "a", "content": "x", "json": {}}), "replies[1]", "exclude each other"),
        (json!({"agent": "a", "turn": 0, "content": "x"}), "replies[1].turn", "counted from 1"),
        (json!({"agent": "a", "turn": 1, "turns": [{"content": "x"}]}), "replies[1].turn", "exclude each other"),
        (json!({"agent": "a", "content": "x", "turns": [{"content": "x"}]}), "replies[1].content", "in each turn"),
        (json!({"agent": "a", "turns": []}), "replies[1].turns", "1 to 1000"),
        (json!({"agent": "a", "turns": [{"content": "x"}, {"contnt": "x"}]}), "replies[1].turns[1]", "contnt"),
        (json!({"agent": "a", "match": {"first": "x"}, "content": "x"}), "replies[1].match", "unknown field `first`"),
        (json!({"agent": "a", "match": {"jmespath": "a["}, "content": "x"}), "replies[1].match.jmespath", ""),
        (json!({"agent": "a", "match": {"last": 7}, "content": "x"}), "replies[1].match.last", "a text or a list"),
        (json!({"agent": "a", "match": {"expr": "1 +"}, "content": "x"}), "replies[1].match.expr", ""),
        (json!({"agent": "a", "content": "{{ x"}), "replies[1].content", ""),
        (json!({"agent": 7, "content": "x"}), "replies[1].agent", "a text or a list of texts"),
        (json!({"agent": "a", "content": "x", "latency_ms": 4_000_000}), "replies[1].latency_ms", "at most 3600000"),
        (json!({"agent": "a", "content": "x", "cost_usd": -1}), "replies[1].cost_usd", "from 0 to 1000"),
        (json!({"agent": "a", "content": "x", "faults": [{"fault": "timeuot"}]}), "replies[1]", "timeuot"),
        (
            json!({"agent": "a", "content": "x", "faults": [{"fault": "timeout", "attempts": 0}]}),
            "replies[1].faults",
            "from 1",
        ),
        (json!("hello"), "replies[1]", "a reply is an object"),
    ] {
        let said = in_replies(reply.clone());
        assert!(
            said.starts_with(&format!("replies/clinic.yaml: {place}: ")) && said.contains(problem),
            "{reply}: {said}"
        );
    }
    assert!(wrong(json!([])).starts_with("replies/clinic.yaml: the document: "));
    assert!(wrong(json!({"replys": []})).contains("replys"));
}

#[test]
fn an_agent_at_the_top_holds_for_the_whole_file() {
    let document = json!({"agent": "router", "replies": [{"content": "x"}, {"agent": "sales", "content": "y"}]});
    let script = ReplyScript::new(&[file(document)]).expect("a script");
    assert!(script.rules[0].matches_agent("router") && !script.rules[1].matches_agent("router"));
}

/// The deltas that a listener receives of a reply, and how the attempt ends.
async fn heard(
    replies: Value,
    first_token: Option<Duration>,
) -> (Vec<ReplyDelta>, Result<ProviderReply, ProviderError>, Duration) {
    let (pieces, mut heard) = mpsc::channel(64);
    let (asker, request) = (asker(1), request("router", &["u: hi"]));
    let spec = spec("gpt-4");
    let ask = ProviderRequest {
        asker: &asker,
        request: &request,
        model: "gpt-4",
        spec: spec.as_ref(),
        limit: LIMIT,
        first_token,
        key: None,
        pieces: Some(&pieces),
    };
    let began = Instant::now();
    let outcome = script(replies).ask(&ask).await;
    let took = began.elapsed();
    drop(pieces);
    let mut all = Vec::new();
    while let Some(piece) = heard.recv().await {
        all.push(piece);
    }
    (all, outcome, took)
}

fn text(word: &str) -> ReplyDelta {
    ReplyDelta::Text(word.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_the_reply_word_by_word_and_call_by_call() {
    let call = json!({"name": "get_order", "id": "c1", "arguments": {"id": "a long identifier"}});
    let replies = json!([{"agent": "*", "content": "One moment, please.", "tool_calls": [call], "latency_ms": 700}]);
    let (pieces, outcome, took) = heard(replies, None).await;
    let call = |id: Option<&str>, name: Option<&str>, arguments: &str| ReplyDelta::ToolCall {
        index: 0,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    };
    let expected = [
        text("One "),
        text("moment, "),
        text("please."),
        call(Some("c1"), Some("get_order"), ""),
        call(None, None, "{\"id\":\"a long id"),
        call(None, None, "entifier\"}"),
    ];
    assert_eq!((pieces.as_slice(), took), (expected.as_slice(), Duration::from_millis(700)));
    assert_eq!(outcome.expect("a reply").reply.content, "One moment, please.");
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_break_off_before_or_after_its_first_piece() {
    let of = |after: usize| {
        json!([{
            "agent": "*", "content": "One two three", "usage": {"input_tokens": 1_000}, "latency_ms": 90,
            "faults": [{"fault": "unavailable", "after_pieces": after}],
        }])
    };
    for (after, expected) in [(0, vec![]), (2, vec![text("One "), text("two ")])] {
        let (pieces, outcome, _) = heard(of(after), None).await;
        let failure = outcome.expect_err("a fault");
        assert_eq!((pieces, failure.has_streamed), (expected, after > 0));
        assert_eq!(failure.fault.fault.code, code::SERVICE_UNAVAILABLE);
        assert_eq!(failure.spent, AttemptSpend::Exactly(if after > 0 { Usd::from_f64(0.03) } else { Usd::ZERO }));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_piece_may_come_too_late() {
    let reply = |first: Option<u64>| json!([{"agent": "*", "content": "One two", "latency_ms": 1_000, "first_token_ms": first}]);
    let limit = Some(Duration::from_millis(600));
    assert!(heard(reply(None), limit).await.1.is_ok());
    let (pieces, outcome, took) = heard(reply(Some(900)), limit).await;
    let failure = outcome.expect_err("a time-out");
    assert_eq!((pieces, failure.has_streamed, took), (Vec::new(), false, Duration::from_millis(600)));
    assert_eq!(failure.fault.fault.code, code::TIMEOUT);
    assert!(failure.fault.fault.message.contains("no first token within 600 ms"), "{failure:?}");
}

#[test]
fn what_cannot_be_played_is_refused() {
    for (reply, place) in [
        (json!({"content": "a", "latency_ms": 5, "first_token_ms": 6}), "replies[0].first_token_ms"),
        (json!({"content": "a", "faults": [{"fault": "truncated", "after_pieces": 1}]}), "replies[0].faults"),
        (json!({"faults": [{"fault": "unavailable", "after_pieces": 1}]}), "nothing is answered"),
    ] {
        let said = wrong(json!({"agent": "*", "replies": [reply]}));
        assert!(said.contains(place), "{said}");
    }
}
