//! `baton test`: tests that pass, tests that fail, and files that are not valid tests.

use serde_json::json;

use super::test_folder::TestFolder;

const WORKFLOW: &str = "\
name: order
input: {item: string}
nodes:
  - {id: reserve, tool: reserve_item, parameters: {item: '{{ item }}'}}
  - id: agree
    type: human
    title: Ship it?
    deadline: 2h
    on_deadline: reject
  - {id: ship, tool: ship_item, retry: {max_attempts: 3, initial: 10m}}
  - {id: stop, type: end, output: {shipped: false}}
edges:
  - {from: reserve, to: agree}
  - {from: agree, to: ship, when: approved}
  - {from: agree, to: stop, when: rejected}
";
const TOOLS: &str = "\
tools:
  - name: reserve_item
    kind: script
    class: keyed
    compensation: {tool_name: release_item, parameters: {id: '{{ output.id }}'}}
    results: [{output: {id: '{{ id }}', item: '{{ arguments.item }}'}}]
  - {name: release_item, kind: script, class: keyed, irreversible: reserve again, results: [{output: {released: true}}]}
  - {name: ship_item, kind: script, class: keyed, irreversible: shipped, results: [{output: {shipped: true}}]}
";

fn place(tests: &str) -> TestFolder {
    TestFolder::with(&[("workflows/order.yaml", WORKFLOW), ("tools/tools.yaml", TOOLS), ("tests/order.yaml", tests)])
}

#[test]
fn a_test_may_answer_wait_cancel_and_roll_back() {
    let place = place(
        "
tests:
  - name: what is agreed is shipped
    workflow: order
    input: {item: hat}
    script: [{approve: agree, by: eva}]
    expect:
      state: completed
      path: [reserve, agree, ship]
      outputs: {reserve: {item: hat}, agree: {by: [eva]}}
      effects: [reserve_item, ship_item]
      holds: [\"outputs.ship.shipped\", \"length(effects) == `2`\"]
      desk: []
  - name: nobody agrees in time
    workflow: order
    input: {item: hat}
    script: [{wait: 3h}]
    expect: {state: completed, output: {shipped: false}, path: [reserve, agree, stop]}
  - name: before the deadline it waits
    workflow: order
    input: {item: hat}
    script: [{wait: 1h}]
    expect: {state: waiting, desk: [approval]}
  - name: a cancelled order is released
    workflow: order
    input: {item: hat}
    script: [{cancel: compensate}]
    expect: {state: cancelled, effects: [reserve_item, undo release_item]}
  - name: a shipped order can be rolled back but for the shipment
    workflow: order
    input: {item: hat}
    script: [{approve: agree}, {rollback: true}]
    expect: {state: compensated, effects: [reserve_item, ship_item, undo release_item]}
  - name: a shipment is tried again without waiting
    workflow: order
    input: {item: hat}
    tools:
      - name: ship_item
        kind: script
        class: keyed
        irreversible: shipped
        results:
          - {attempt: 3, output: {shipped: true}}
          - {fault: {code: SERVICE_UNAVAILABLE, message: closed, retryable: true}}
    script: [{approve: agree}]
    expect: {state: completed, error: null, outputs: {ship: {shipped: true}}}
",
    );
    place.baton(&["test"]).expect_code(0).expect_stdout("✓ nobody agrees in time").expect_stdout("6 passed, 0 failed");
    assert!(!place.path().join(".baton").exists(), "tests keep nothing");
}

#[test]
fn a_difference_is_shown_with_what_was_found() {
    let place = place(
        "
tests:
  - name: too hopeful
    workflow: order
    input: {item: hat}
    expect:
      state: completed
      path: [reserve, ship]
      outputs: {reserve: {item: coat}}
  - name: answered too often
    workflow: order
    input: {item: hat}
    script: [{approve: agree}, {approve: agree}]
    expect: {state: completed}
  - name: answered wrongly
    workflow: order
    input: {item: hat}
    script: [{approve: shipp}]
    expect: {state: waiting}
",
    );
    let told = place.baton(&["test"]).expect_code(1);
    let told = told.expect_stdout("✗ too hopeful").expect_stdout("0 passed, 3 failed");
    let told = told.expect_stdout("state\n      expected completed\n      found    waiting\n");
    let told = told.expect_stdout("path\n      expected [\"reserve\",\"ship\"]\n      found    [\"reserve\"]\n");
    let told = told.expect_stdout("outputs.reserve.item\n      expected coat\n      found    hat\n");
    let told = told.expect_stdout("`approve: agree` is left over: the run has ended");
    told.expect_stdout("`approve: shipp` was refused: RUN-005");
    let found = place.baton(&["test", "--json", "--filter", "hopeful"]).expect_code(1).json();
    assert_eq!((&found["passed"], &found["failed"]), (&json!(0), &json!(1)));
    assert_eq!(
        found["tests"][0]["differences"][0],
        json!({"place": "state", "expected": "completed", "found": "waiting"})
    );
}

#[test]
fn an_input_that_does_not_fit_fails_its_test_and_no_other() {
    let place = place(
        "
tests:
  - {name: without, workflow: order, expect: {state: waiting}}
  - {name: with, workflow: order, input: {item: hat}, expect: {state: waiting}}
",
    );
    let told = place.baton(&["test"]).expect_code(1).expect_stdout("1 passed, 1 failed");
    told.expect_stdout("the run was refused: the input does not fit: `item` is missing");
}

#[track_caller]
fn invalid(test: &str, says: &str) {
    place(&format!("tests:\n  - {test}\n")).baton(&["test"]).expect_code(2).expect_stderr(says);
}

#[test]
fn what_is_no_test_is_refused_with_its_line_and_name() {
    invalid(
        "{name: a, workflow: order, expect: {stat: completed}}",
        "tests/order.yaml:2: test `a`: unknown field `stat`",
    );
    invalid("{name: a, workflow: order, expect: {state: done}}", "unknown variant `done`");
    invalid("{name: a, workflow: order, expect: {}}", "`expect` expects nothing");
    invalid("{name: a, workflow: ordr, expect: {state: failed}}", "did you mean `order`?");
    invalid("{name: a, workflow: order, script: [{sya: x}], expect: {state: failed}}", "it has one of say");
    invalid(
        "{name: a, workflow: order, script: [{say: x, by: y}], expect: {state: failed}}",
        "`by` means nothing beside `say`",
    );
    invalid(
        "{name: a, workflow: order, script: [{wait: soon}], expect: {state: failed}}",
        "does not begin with a number",
    );
    invalid("{name: a, workflow: order, now: today, expect: {state: failed}}", "is no instant");
    invalid("{name: a, workflow: order, expect: {desk: [chair]}}", "no kind of desk item");
    invalid("{name: a, workflow: order, expect: {holds: ['a[']}}", "`a[`");
    invalid("{name: a, workflow: order, input: '@not-there.json', expect: {state: failed}}", "not-there.json");
}

#[test]
fn two_tests_of_one_name_and_no_tests_at_all_are_refused() {
    let twice = "tests:\n  - &a {name: a, workflow: order, expect: {state: waiting}}\n  - *a\n";
    place(twice).baton(&["test"]).expect_code(2).expect_stderr("a test named `a` is in");
    TestFolder::with(&[("workflows/order.yaml", "name: a\nnodes: []\n")])
        .baton(&["test"])
        .expect_code(2)
        .expect_stderr("there are no tests");
    place("tests:\n  - {name: one, workflow: order, expect: {state: waiting}}\n")
        .baton(&["test", "--filter", "two"])
        .expect_code(2)
        .expect_stderr("no test's name contains `two`");
}

#[test]
fn the_same_test_gives_the_same_result_each_time() {
    let place = place(
        "tests:\n  - {name: a, workflow: order, now: '2026-01-01T00:00:00Z', input: {item: hat}, expect: {output: {x: 1}}}\n",
    );
    let result = || {
        let mut found = place.baton(&["test", "--json"]).expect_code(1).json();
        found["tests"][0]["duration_ms"].take();
        found
    };
    assert_eq!(result(), result());
}
