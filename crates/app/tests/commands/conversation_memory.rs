//! Closed conversations in long-term memory: found by content, once, and deleted with their customer.

use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::{Value, json};

use super::server::{BatonServer, wait_for};
use super::test_folder::TestFolder;
use super::upstream::UpstreamModel;

const TOOLS: &str = "\
tools:
  - {name: echo, kind: script, class: read, results: [{output: {text: 'you said {{ arguments.text }}'}}]}
";
const ECHO: &str = "\
name: echo
nodes: [{id: echo, tool: echo, parameters: {text: '{{ input.message }}'}}]
";

fn place(settings: &str) -> TestFolder {
    TestFolder::with(&[("baton.toml", settings), ("tools/tools.yaml", TOOLS), ("workflows/echo.yaml", ECHO)])
}

/// Starts a customer's conversation. Returns the response.
fn begin(server: &BatonServer, key: &str, user: &str, message: &str) -> Value {
    let body = json!({ "workflow_id": "echo", "user_id": user, "message": message });
    server.ask("POST /api/v1/conversations", key, "", &body).expect_status(200)
}

/// Conversations that are similar to this message: the id, outcome and summary of each.
fn similar(place: &TestFolder, message: &str) -> Vec<(String, String, String)> {
    let input = json!({ "message": message, "strategy": "long_only" }).to_string();
    let context = place.baton(&["tools", "call", "get_context", "--input", &input, "--json"]).expect_code(0).json();
    let found = context.pointer("/data/similar_conversations").or(context.get("similar_conversations"));
    let text = |one: &Value, field: &str| one[field].as_str().expect("a text").to_owned();
    let found = found.and_then(Value::as_array).expect("similar conversations").iter();
    found.map(|one| (text(one, "conversation_id"), text(one, "outcome"), text(one, "summary"))).collect()
}

#[test]
fn a_conversation_that_is_over_is_found_by_what_was_said_until_its_customer_is_forgotten() {
    let place = place("");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    let begun = begin(&server, &key, "ana", "where is my xylophone?");
    let id = begun["conversation_id"].as_str().expect("an id").to_owned();
    let found = wait_for("the conversation is found", || similar(&place, "xylophone").pop());
    assert_eq!((&found.0, found.1.as_str()), (&id, "finished"));
    assert!(found.2.contains("customer: where is my xylophone?"), "{found:?}");

    // The conversation continues, and memory then contains all of it.
    let says = json!({ "text": "it has a broken mallet" });
    server.ask(&format!("POST /api/v1/conversations/{id}/messages"), &key, "", &says).expect_status(200);
    wait_for("what was said since is found", || {
        similar(&place, "mallet").pop().filter(|(_, _, summary)| summary.contains("mallet"))
    });
    assert_eq!(similar(&place, "xylophone").len(), 1, "once");

    let gone = place.baton(&["knowledge", "forget", "ana", "--json"]).expect_code(0).json();
    assert_eq!(gone["conversations"], 1, "{gone}");
    // A rating adds an entry to a conversation that was closed before she was erased.
    let rate = json!({ "score": 5 });
    server.ask(&format!("POST /api/v1/conversations/{id}/rate"), &key, "", &rate).expect_status(200);
    begin(&server, &key, "ben", "my glockenspiel is late");
    wait_for("the next one is found", || similar(&place, "glockenspiel").pop());
    assert!(similar(&place, "xylophone").iter().all(|(found, ..)| *found != id), "it stays forgotten");
}

#[test]
fn one_that_ended_before_a_kill_is_kept_after_it_and_once() {
    let (silent, asked) = silent();
    let upstream = UpstreamModel::start();
    let place = place("[memory]\nembedder = \"openai\"\nmodel = \"mock\"\ndimensions = 4\n");
    place.write("models.yaml", "models:\n  mock: {input_usd_per_million: 0, output_usd_per_million: 0}\n");
    let server = BatonServer::start_with(&place, &[("BATON_MEMORY__BASE_URL", &silent)]);
    let key = server.key().expect("a key").to_owned();
    begin(&server, &key, "ana", "where is my xylophone?");
    // The conversation is closed, and what is to be indexed has no vectors yet.
    asked.recv_timeout(std::time::Duration::from_secs(60)).expect("the embedder is asked");
    server.kill();
    let again = BatonServer::start_with(&place, &[("BATON_MEMORY__BASE_URL", &upstream.url)]);
    let at_upstream =
        format!("[memory]\nembedder = \"openai\"\nmodel = \"mock\"\ndimensions = 4\nbase_url = \"{}\"\n", upstream.url);
    place.write("baton.toml", at_upstream);
    wait_for("the conversation is found", || similar(&place, "xylophone").pop());
    drop(again);
    assert_eq!(similar(&place, "xylophone").len(), 1);
    let gone = place.baton(&["knowledge", "forget", "ana", "--json"]).expect_code(0).json();
    assert_eq!(gone["conversations"], 1, "{gone}");
}

#[test]
fn nothing_is_kept_where_the_settings_do_not_want_it_and_what_was_over_meanwhile_is_once_they_do() {
    let place = place("[memory]\nclosed_conversations = false\n");
    let server = BatonServer::start(&place);
    let key = server.key().expect("a key").to_owned();
    begin(&server, &key, "ana", "where is my xylophone?");
    assert_eq!(server.stop(), Some(0));
    let gone = place.baton(&["knowledge", "forget", "nobody", "--json"]).expect_code(0).json();
    assert_eq!(gone["conversations"], 0, "{gone}");
    assert_eq!(similar(&place, "xylophone").len(), 0);
    place.write("baton.toml", "");
    let _server = BatonServer::start(&place);
    wait_for("the conversation is found", || similar(&place, "xylophone").pop());
}

/// An embedder that accepts requests and never answers. Sends a signal for each request.
fn silent() -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let (tell, asked) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            open.push(stream);
            let _ = tell.try_send(());
        }
    });
    (url, asked)
}
