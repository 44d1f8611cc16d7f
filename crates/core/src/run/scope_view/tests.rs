use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::bundle::ContentHash;
use crate::definition::{DefinitionCatalog, check};
use crate::fault::Fault;
use crate::id::RunId;
use crate::money::Usd;
use crate::run::{CallOutcome, Effect, Run, RunCommand, RunOrigin, RunStarted};
use crate::time::Time;
use crate::tool::{self, ToolContract};

const BOOKING: &[u8] = br#"
name: booking
on_compensated: sorry
nodes:
  - {id: book, tool: book}
  - {id: pay, tool: pay, retry: {max_attempts: 1}}
  - {id: sorry, type: end, output: {code: "{{ error.code }}", told: "{{ error.customer }}", undone: "{{ undone }}"}}
edges:
  - {from: book, to: pay}
"#;

fn facts(facts: Value) -> Arc<ToolContract> {
    serde_json::from_value(facts).unwrap()
}

fn started() -> RunCommand {
    let undo = json!({"tool_name": "unbook", "parameters": {"id": "{{ output.id }}"}});
    let tools = BTreeMap::from([
        ("book".to_owned(), facts(json!({"class": "keyed", "timeout_ms": 1, "compensation": undo}))),
        ("unbook".to_owned(), facts(json!({"class": "keyed", "timeout_ms": 1, "irreversible": "it is an undoing"}))),
        ("pay".to_owned(), facts(json!({"class": "keyed", "timeout_ms": 1, "irreversible": "paid is paid"}))),
    ]);
    let checked = check(BOOKING, &DefinitionCatalog { tools, ..DefinitionCatalog::default() });
    let (workflow, _) = checked.runnable().unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
    let started = RunStarted {
        run: RunId::new("r"),
        tenant: "t".into(),
        bundle: ContentHash::of(b"booking"),
        input: Arc::new(json!({})),
        context: Value::Null,
        caller: tool::Caller::default(),
        origin: RunOrigin::Caller,
    };
    RunCommand::Start { started: Box::new(started), workflow: Arc::new(workflow.clone()) }
}

/// Answers the run's only open call.
fn answer(run: &mut Run, outcome: tool::ToolOutcome) {
    let now = Time::from_ms(0);
    let effect = run.pending(now).find_map(|effect| match effect {
        Effect::Send { effect, .. } => Some(effect),
        Effect::LookUp { .. } => None,
    });
    let command = RunCommand::Outcome { effect: effect.expect("an open call"), outcome: CallOutcome::Tool(outcome) };
    run.decide(command, now).unwrap();
}

fn done(output: Value) -> tool::ToolOutcome {
    tool::ToolOutcome::Done { output: output.into(), cost: Usd::ZERO, cached: false }
}

/// The result of a run that has made a booking.
fn outcome_of(then: impl FnOnce(&mut Run)) -> Value {
    let mut run = Run::new();
    run.decide(started(), Time::from_ms(0)).unwrap();
    answer(&mut run, done(json!({"id": 7})));
    then(&mut run);
    answer(&mut run, done(json!({})));
    (*run.finished().expect("an end").output).clone()
}

#[test]
fn after_a_rollback_the_cause_and_the_report_are_names() {
    let declined = Fault { customer: Some("Sorry".into()), ..Fault::new("PAYMENT_DECLINED", "no funds") };
    let output = outcome_of(|run| {
        answer(run, tool::ToolOutcome::NotDone { fault: declined, retryable: false, retry_after: None });
    });
    let undone = json!([{"node": "book", "tool": "book", "state": "undone", "reason": null}]);
    assert_eq!(output, json!({"code": "PAYMENT_DECLINED", "told": "Sorry", "undone": undone}));
}

#[test]
fn a_cancelled_run_that_is_rolled_back_has_a_cause_too() {
    let output = outcome_of(|run| {
        let cancel = RunCommand::Cancel { by: "ana".to_owned(), compensate: true, asked_by: Vec::new() };
        run.decide(cancel, Time::from_ms(0)).unwrap();
        answer(
            run,
            tool::ToolOutcome::NotDone { fault: Fault::new("TIMEOUT", "slow"), retryable: false, retry_after: None },
        );
    });
    assert_eq!((&output["code"], &output["told"]), (&json!("CANCELLED"), &Value::Null));
}
