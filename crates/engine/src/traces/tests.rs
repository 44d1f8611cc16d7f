use std::collections::BTreeSet;

use baton_core::id::RunId;
use baton_core::run::RunEntry;
use serde::Deserialize;
use serde_json::json;

use super::{AttributeValue, RunTrace, TraceSpan};

#[derive(Deserialize)]
struct TracedJournal {
    entries: Vec<RunEntry>,
}

/// A recorded journal.
fn recorded(name: &str) -> Vec<RunEntry> {
    let path = format!("{}/../core/testdata/journals/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str::<TracedJournal>(&std::fs::read_to_string(path).unwrap()).unwrap().entries
}

fn entries(of: serde_json::Value) -> Vec<RunEntry> {
    serde_json::from_value(of).unwrap()
}

fn spans(run: &str, entries: &[RunEntry]) -> (RunTrace, Vec<TraceSpan>) {
    let mut trace = RunTrace::new(RunId::new(run), "booking".into());
    let spans = entries.iter().flat_map(|entry| trace.fold(entry)).collect();
    (trace, spans)
}

fn said<'a>(span: &'a TraceSpan, name: &str) -> Option<&'a AttributeValue> {
    span.attributes.iter().find(|(said, _)| *said == name).map(|(_, said)| said)
}

/// Each span's name under its parent's, in the order in which they ended.
fn tree(spans: &[TraceSpan]) -> Vec<String> {
    let of =
        |span: &TraceSpan| spans.iter().find(|other| Some(other.id) == span.parent).map(|parent| parent.name.clone());
    spans.iter().map(|span| format!("{} < {}", span.name, of(span).unwrap_or_default())).collect()
}

fn started(run: &str, origin: serde_json::Value) -> serde_json::Value {
    json!({ "started": {
        "run": run, "tenant": "acme", "bundle": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
        "input": {}, "origin": origin,
    } })
}

#[test]
fn every_recorded_journal_is_a_tree_of_spans_that_end_once() {
    let folder = format!("{}/../core/testdata/journals", env!("CARGO_MANIFEST_DIR"));
    let names = std::fs::read_dir(folder).unwrap().filter_map(|file| {
        file.unwrap().file_name().to_str().and_then(|name| name.strip_suffix(".json").map(str::to_owned))
    });
    let mut seen = 0;
    for name in names {
        let (trace, spans) = spans("run", &recorded(&name));
        let ids: BTreeSet<_> = spans.iter().map(|span| span.id).collect();
        assert_eq!(ids.len(), spans.len(), "{name}: a span ended twice");
        for span in &spans {
            assert!(span.began <= span.ended, "{name}: {span:?}");
            let has_parent = span.parent.is_none_or(|parent| ids.contains(&parent));
            assert!(has_parent || !trace.is_over(), "{name}: the parent of {span:?} never ends");
        }
        seen += usize::from(!spans.is_empty());
    }
    assert!(seen >= 10, "only {seen} journals gave any span");
}

#[test]
fn a_run_its_nodes_and_their_calls_are_a_tree() {
    let (trace, spans) = spans("run", &recorded("booking"));
    let tree = tree(&spans);
    assert_eq!(tree[0], "tool.find < find", "{tree:#?}");
    assert_eq!(tree[1], "find < booking", "{tree:#?}");
    assert!(tree.contains(&"llm.call < ask".to_owned()), "{tree:#?}");
    assert_eq!(tree.iter().filter(|span| *span == "booking < ").count(), usize::from(trace.is_over()), "{tree:#?}");
    let call = spans.iter().find(|span| span.name == "llm.call").unwrap();
    assert_eq!(said(call, "gen_ai.response.model"), Some(&AttributeValue::Text("m".into())));
    assert_eq!(said(call, "gen_ai.provider.name"), Some(&AttributeValue::Text("script".into())));
    assert!(call.is_call && spans.iter().all(|span| span.trace == call.trace));
}

#[test]
fn nothing_that_was_said_is_in_a_span() {
    let (_, spans) = spans("run", &recorded("booking"));
    let all = format!("{spans:?}");
    for secret in ["Eva", "be kind", "hello", "49.95"] {
        assert!(!all.contains(secret), "`{secret}` is in {all}");
    }
}

#[test]
fn a_run_that_another_runs_is_in_its_trace_and_under_its_node() {
    let child = "run/sub";
    let (_, of_parent) = spans(
        "run",
        &entries(json!([
            { "at": 10, "events": [started("run", json!("caller")),
                { "began": { "node": "sub", "wait": "child", "run": child, "input": {},
                  "bundle": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b" } }] },
            { "at": 90, "events": [{ "ended": { "node": "sub", "how": { "completed": { "output": 1 } } } }] },
        ])),
    );
    let (_, of_child) = spans(
        child,
        &entries(json!([
            { "at": 20, "events": [started(child, json!({ "parent": { "run": "run", "node": "sub", "depth": 1 } }))] },
            { "at": 80, "events": [{ "finished": { "state": "completed", "output": 1 } }] },
        ])),
    );
    assert_eq!((of_parent.len(), of_child.len()), (1, 1));
    assert_eq!(of_child[0].trace, of_parent[0].trace);
    assert_eq!(of_child[0].parent, Some(of_parent[0].id));
}

#[test]
fn a_call_that_is_tried_again_is_one_span_with_its_attempts_in_it() {
    let fault = json!({ "code": "TIMEOUT", "message": "too late" });
    let (trace, spans) = spans(
        "run",
        &entries(json!([
            { "at": 0, "events": [started("run", json!("caller")),
                { "scheduled": { "effect": { "node": "pay" }, "request": { "tool": { "tool": "charge", "arguments": {} } },
                  "class": "keyed", "timeout_ms": 1000 } }] },
            { "at": 50, "events": [{ "not_done": { "effect": { "node": "pay" }, "fault": fault, "again_at": 60 } }] },
            { "at": 70, "events": [
                { "not_done": { "effect": { "node": "pay", "generation": 1 }, "fault": fault } },
                { "ended": { "node": "pay", "how": { "failed": { "fault": fault } } } },
                { "finished": { "state": "failed", "fault": fault } }] },
        ])),
    );
    assert_eq!(tree(&spans), ["tool.charge < pay", "pay < booking", "booking < "]);
    assert_eq!(
        spans[0].events.iter().map(|moment| (moment.name, moment.what.as_str())).collect::<Vec<_>>(),
        [("again", "TIMEOUT")]
    );
    for span in &spans {
        assert_eq!(span.fault.as_ref().map(|(code, _)| code.as_str()), Some("TIMEOUT"));
    }
    assert!(trace.is_over());
}

#[test]
fn a_fork_has_a_trace_of_its_own_and_nothing_of_what_was_before() {
    let (_, of_original) = spans("run", &recorded("forked"));
    let entries = recorded("forked");
    let (_, of_fork) = spans("fork", &entries);
    assert!(of_original.iter().all(|span| of_fork.iter().all(|other| other.id != span.id)));
}
