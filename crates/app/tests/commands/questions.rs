//! Questions of an MCP server's tool to a person: the run waits with the form, and the server gets exactly the answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::test_folder::{CommandOutput, TestFolder};

/// A server in shell with one tool, which asks for a seat before it books. It records answers in `answers` and bookings
/// in `booked`.
const SERVER: &str = r#"
says() { echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"content":[{"type":"text","text":"'"$1"'"}]}}'; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"method":"initialize"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}';;
    *'"method":"tools/list"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"book","description":"Books","inputSchema":{"type":"object"}}]}}';;
    *'"method":"tools/call"'*)
      echo '{"jsonrpc":"2.0","id":900,"method":"elicitation/create","params":{"mode":"form","message":"Which seat?","requestedSchema":{"type":"object","properties":{"seat":{"type":"string","maxLength":3}},"required":["seat"]}}}'
      while read -r answer; do case "$answer" in *'"id":900'*) break;; esac; done
      printf '%s\n' "$answer" >> answers
      case "$answer" in
        *'"accept"'*) HOLD; echo "$answer" >> booked; says booked;;
        *'"decline"'*) says declined;;
        *) says nothing;;
      esac;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"Method not found"}}';;
  esac
done
"#;

/// A project with this definition of the server's tool, and a run of it that waits for an answer.
fn waiting(tool: &Value, hold: &str) -> TestFolder {
    let place = place(tool, hold);
    place.baton(&["run", "book", "--id", "one", "--json"]).expect_code(3);
    place
}

fn place(tool: &Value, hold: &str) -> TestFolder {
    let definition = json!({
        "name": "sh", "kind": "mcp", "trusted": true, "command": "sh", "args": ["server.sh"], "tools": {"book": tool},
    });
    TestFolder::with(&[
        ("server.sh", &SERVER.replace("HOLD", hold)),
        ("tools/sh.json", &definition.to_string()),
        ("workflows/book.yaml", "name: book\nnodes: [{id: book, tool: sh.book}]\n"),
    ])
}

fn asks_first() -> Value {
    json!({"asks_first": true})
}

/// The lines of a file that the server wrote.
fn lines(place: &TestFolder, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The answers that the server got.
fn told(place: &TestFolder) -> Vec<Value> {
    let line = |line: &String| serde_json::from_str::<Value>(line).expect("an answer")["result"].clone();
    lines(place, "answers").iter().map(line).collect()
}

fn answer(place: &TestFolder, with: &[&str]) -> CommandOutput {
    place.baton(&[&["runs", "answer", "one", "book#0.0"], with].concat())
}

fn cancelled() -> Value {
    json!({"action": "cancel"})
}

fn accepted() -> Value {
    json!({"action": "accept", "content": {"seat": "1A"}})
}

#[test]
fn a_run_waits_with_the_form_and_the_server_is_told_exactly_the_answer() {
    let place = waiting(&asks_first(), ":");
    let desk = place.baton(&["desk", "list", "--json"]).expect_code(0).json();
    assert_eq!((desk.as_array().map(Vec::len), &desk[0]["kind"]), (Some(1), &json!("form")), "{desk}");
    assert_eq!(desk[0]["details"]["asks"]["form"]["properties"]["seat"]["maxLength"], 3, "{desk}");
    let id = desk[0]["id"].as_str().expect("an id");
    place
        .baton(&["desk", "show", id])
        .expect_code(0)
        .expect_stdout("Which seat?")
        .expect_stdout("runs answer one book#0.0 --form JSON");
    place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("Which seat?");
    answer(&place, &["--form", r#"{"seat": "row 1"}"#])
        .expect_code(1)
        .expect_stderr("refused[RUN-016]")
        .expect_stderr("/seat");
    answer(&place, &["--approve"]).expect_code(1).expect_stderr("refused[RUN-008]");
    assert_eq!(told(&place), [cancelled()], "nobody waits in the middle of a call");
    answer(&place, &["--form", r#"{"seat": "1A"}"#]).expect_code(0).expect_stdout("booked");
    assert_eq!(told(&place), [cancelled(), accepted()]);
    assert_eq!(lines(&place, "booked").len(), 1);
    answer(&place, &["--form", r#"{"seat": "1B"}"#]).expect_code(1).expect_stderr("refused[RUN-003]");
    assert_eq!(place.baton(&["desk", "list", "--json"]).expect_code(0).json(), json!([]));
    let trail = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    let said = trail["rows"].as_array().expect("rows").iter().find(|row| row["action_type"] == "form").cloned();
    let said = said.expect("the answer has its row");
    assert_eq!((&said["user_id"], &said["details"]["decision"]), (&json!("ana"), &json!("filled")));
}

#[test]
fn a_server_is_told_that_a_person_declines() {
    let place = waiting(&asks_first(), ":");
    answer(&place, &["--reject"]).expect_code(0).expect_stdout("declined");
    assert_eq!(told(&place), [cancelled(), json!({"action": "decline"})]);
    assert_eq!(lines(&place, "booked"), Vec::<String>::new());
}

#[test]
fn a_server_is_told_that_nobody_answered_in_time() {
    let place = waiting(&json!({"asks_first": true, "answer_within_seconds": 1}), ":");
    let until = Instant::now() + Duration::from_secs(60);
    while told(&place).len() < 2 {
        assert!(Instant::now() < until, "the deadline is not heeded");
        place.baton(&["runs", "work"]).expect_code(0);
    }
    assert_eq!(told(&place), [cancelled(), cancelled()]);
    place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("completed");
    answer(&place, &["--form", r#"{"seat": "1A"}"#]).expect_code(1).expect_stderr("refused[RUN-003]");
}

#[test]
fn an_answer_survives_that_its_process_is_killed() {
    // At the first answer the server hangs forever.
    let hold = "if [ ! -e held ]; then : > held; sleep 1000; fi";
    let place = waiting(&json!({"class": "keyed", "asks_first": true}), hold);
    let mut run = place.spawn(&["runs", "answer", "one", "book#0.0", "--form", r#"{"seat": "1A"}"#]);
    let until = Instant::now() + Duration::from_secs(60);
    while !place.path().join("held").exists() {
        assert!(Instant::now() < until, "the answer arrives");
        assert!(run.try_wait().expect("its state").is_none(), "{}", CommandOutput::wait_for(run).err);
        std::thread::sleep(Duration::from_millis(10));
    }
    run.kill().expect("it is killed");
    run.wait().expect("it is gone");
    // Its lease expires after a while.
    while lines(&place, "booked").is_empty() {
        assert!(Instant::now() < until, "the call goes out again");
        place.baton(&["runs", "work"]).expect_code(0);
    }
    assert_eq!(told(&place), [cancelled(), accepted(), accepted()], "and nobody is asked again");
    place.baton(&["runs", "show", "one"]).expect_code(0).expect_stdout("completed");
    assert_eq!(lines(&place, "booked").len(), 1);
}

#[test]
fn a_result_that_a_server_gives_without_an_answer_holds_where_it_may_have_acted() {
    let place = place(&json!({}), ":");
    place.baton(&["run", "book"]).expect_code(0).expect_stdout("nothing");
    assert_eq!(told(&place), [cancelled()]);
}

#[test]
fn nobody_of_another_tenant_answers() {
    let place = waiting(&asks_first(), ":");
    place.write("baton.toml", "tenant = 'other'\n");
    let refused = answer(&place, &["--form", r#"{"seat": "1A"}"#]);
    assert!(refused.code != Some(0), "{}", refused.out);
    assert_eq!(place.baton(&["desk", "list", "--json"]).expect_code(0).json(), json!([]));
    place.write("baton.toml", "");
    assert_eq!(told(&place), [cancelled()]);
    answer(&place, &["--form", r#"{"seat": "1A"}"#]).expect_code(0).expect_stdout("booked");
}
