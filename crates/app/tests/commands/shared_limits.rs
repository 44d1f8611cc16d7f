//! State that all processes of a project share: rate limits, cached results, circuits.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Child;

use serde_json::{Value, json};

use crate::server::{BatonServer, wait_for};
use crate::test_folder::{CommandOutput, TestFolder};

const TOOLS: &str = "\
tools:
  - {name: look, kind: script, class: read, results: [{output: {seen: '{{ arguments.n }}'}}]}
";
const TEN_AN_HOUR: &str = "[tools.tool.look]\nrate = \"10/h\"\n";

/// Starts a call in a process of its own, with this id.
fn call(place: &TestFolder, id: &str) -> Child {
    place.spawn(&["tools", "call", "look", "--set", &format!("n={id}"), "--id", id, "--json"])
}

fn runs(place: &TestFolder, state: &str) -> Vec<Value> {
    let listed = place.baton(&["runs", "list", "--state", state, "--json"]).expect_code(0).json();
    listed["runs"].as_array().or(listed.as_array()).expect("runs").clone()
}

/// Kills processes that wait for their turn.
fn end(waiting: Vec<Child>) {
    for mut process in waiting {
        process.kill().expect("it is killed");
        process.wait().expect("it ends");
    }
}

#[test]
fn all_processes_together_call_a_tool_no_more_often_than_its_rate() {
    let place = TestFolder::with(&[("baton.toml", TEN_AN_HOUR), ("tools/tools.yaml", TOOLS)]);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let body = json!({ "arguments": { "n": "server" } });
    for _ in 0..3 {
        server.ask("POST /api/v1/tools/look/execute", &key, "", &body).expect_status(200);
    }
    let ids: Vec<String> = (0..11).map(|number| format!("c{number}")).collect();
    let processes: Vec<Child> = ids.iter().map(|id| call(&place, id)).collect();
    // Ten have had their turn, three of them in the server. The others wait, and show for what.
    let waiting = wait_for("those beyond the limit to wait", || {
        let (waiting, completed) = (runs(&place, "waiting"), runs(&place, "completed").len());
        assert!(completed <= 10, "ten of fourteen are let through: {completed}");
        // Some wait for a moment before they get their turn.
        (completed == 10 && waiting.len() == 4).then_some(waiting)
    });
    let id = waiting[0]["execution_id"].as_str().or(waiting[0]["run"].as_str()).expect("an id").to_owned();
    let shown = place.baton(&["runs", "show", &id, "--json"]).expect_code(0).json();
    assert_eq!(shown["state"], "waiting", "{shown}");
    let waits = &shown["waits_for"][0];
    assert_eq!((&waits["kind"], &waits["tool"]), (&json!("rate"), &json!("look")), "{shown}");
    place.baton(&["runs", "show", &id]).expect_code(0).expect_stdout("waits for rate (look, until ");
    let told = server.ask(&format!("GET /api/v1/executions/{id}"), &key, "", &Value::Null).expect_status(200);
    assert_eq!((&told["status"], &told["waits_for"][0]["kind"]), (&json!("waiting"), &json!("rate")), "{told}");
    end(processes);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_answer_that_one_process_was_given_holds_for_the_others() {
    let settings = "[tools.tool.look]\ncache_seconds = 600\n";
    let place = TestFolder::with(&[("baton.toml", settings), ("tools/tools.yaml", TOOLS)]);
    let ask = |id: &str| {
        let told = place.baton(&["tools", "call", "look", "--set", "n=1", "--id", id, "--json"]).expect_code(0).json();
        (told["data"]["seen"].clone(), told["cached"].clone())
    };
    let (first, second) = (ask("a"), ask("b"));
    assert_eq!((&first.1, &second.1), (&json!(false), &json!(true)), "{first:?} {second:?}");
    assert_eq!(first.0, second.0);
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let body = json!({ "arguments": { "n": "2" } });
    let told = server.ask("POST /api/v1/tools/look/execute", &key, "", &body).expect_status(200);
    assert_eq!(told["cached"], false, "other arguments");
    // A tool whose definition changed does not use the cached result.
    let other = TOOLS.replace("seen: '{{ arguments.n }}'", "seen: nothing");
    place.write("tools/tools.yaml", other);
    assert_eq!(ask("c"), (json!("nothing"), json!(false)));
}

/// A service that is down and asks clients to wait for an hour. Returns its address.
fn down_for_an_hour() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The client may be gone. The request has no body, and fits into one read.
            let _ = stream.read(&mut [0; 16 << 10]);
            let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n";
            let _ = write!(stream, "{head}Connection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn a_service_that_failed_for_one_process_is_left_alone_by_the_next() {
    // The circuit is still open when the sixth call comes, however slow this machine is.
    let tool = format!(
        "name: ask\nkind: http\nurl: http://{}/it\nmethod: GET\nclass: read\nretry: {{max_attempts: 1, initial_ms: 1}}\n",
        down_for_an_hour()
    );
    let place = TestFolder::with(&[("baton.toml", ""), ("tools/ask.yaml", &tool)]);
    let fail = |id: &str| -> CommandOutput { place.baton(&["tools", "call", "ask", "--id", id, "--json"]) };
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(fail(id).expect_code(1).json()["error_code"], "SERVICE_UNAVAILABLE", "{id}");
    }
    // After five failures in a row, of five processes, the sixth sends no request.
    let sixth = place.spawn(&["tools", "call", "ask", "--id", "f", "--json"]);
    let waiting = wait_for("the sixth to wait", || runs(&place, "waiting").pop());
    let id = waiting["execution_id"].as_str().or(waiting["run"].as_str()).expect("an id").to_owned();
    let shown = place.baton(&["runs", "show", &id, "--json"]).expect_code(0).json();
    assert_eq!(shown["waits_for"][0]["kind"], "circuit", "{shown}");
    end(vec![sixth]);
}
