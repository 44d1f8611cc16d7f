//! `baton serve` as a process: its first start, its keys, its endpoints, its shutdown.

use serde_json::{Value, json};

use crate::server::{BatonServer, chat};
use crate::test_folder::{CommandOutput, TestFolder};
use crate::upstream::UpstreamModel;

#[test]
fn the_first_start_makes_a_key_that_the_next_one_knows_and_does_not_show() {
    let place = TestFolder::empty();
    let first = BatonServer::start(&place);
    let key = first.key().expect("a key").to_owned();
    assert!(first.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 200"));
    assert!(first.get("/v1/models", None).starts_with("HTTP/1.1 401"));
    assert!(first.get("/health", None).contains("\"status\":\"healthy\""));
    assert!(first.get("/metrics", None).contains("http_requests_total{route=\"/v1/models\",status=\"401\"} 1"));
    assert!(first.get("/metrics", None).contains("vector_store_size_total{type=\"knowledge_base\"} 0"));
    assert!(first.get("/none", None).starts_with("HTTP/1.1 404"));
    assert_eq!(first.stop(), Some(0));
    let second = BatonServer::start(&place);
    assert_eq!(second.key(), None);
    assert!(second.get("/v1/models", Some(&key)).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_folder_that_is_no_project_is_not_served_unless_one_is_to_be_made() {
    let place = TestFolder::empty();
    let refused = place.baton(&["serve", "--listen", "127.0.0.1:0"]).expect_code(2);
    refused.expect_stderr("is no project: it has neither baton.toml nor workflows/").expect_stderr("--init");
    assert!(!place.path().join(".baton").exists(), "nothing is left behind");
    let elsewhere = place.baton(&["-C", "none", "serve", "--listen", "127.0.0.1:0"]).expect_code(2);
    elsewhere.expect_stderr("is no folder");
    let server =
        BatonServer::of(&place, place.spawn_with(&[], &["serve", "--init", "--listen", "127.0.0.1:0", "--json"]));
    let key = server.key().expect("a key").to_owned();
    assert!(server.get("/api/v1/workflows", Some(&key)).contains("triage"));
    assert_eq!(server.stop(), Some(0));
    assert!(place.path().join("workflows/triage.yaml").is_file());
    // Existing files are left unchanged.
    let again =
        BatonServer::of(&place, place.spawn_with(&[], &["serve", "--init", "--listen", "127.0.0.1:0", "--json"]));
    assert_eq!(again.key(), None);
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn variables_that_nobody_reads_are_named_without_their_values() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let variables = [("DATABASE_URL", "postgres://ana:hunter2@db/x"), ("EXECUTION_MAX_ITERATIONS", "5")];
    let server = BatonServer::start_with(&place, &variables);
    let said = server.stop_and_read();
    for (variable, _) in variables {
        assert!(said.contains(&format!("`{variable}` is set, and this version does not act on it")), "{said}");
    }
    let done = CommandOutput::wait_for(place.spawn_with(&variables, &["doctor"]));
    assert!(!said.contains("hunter2") && !done.out.contains("hunter2"));
    done.expect_stdout("`DATABASE_URL` is set, and this version does not act on it; the SQLite file");
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_the_way_out() {
    let place = TestFolder::with(&[("baton.toml", "")]);
    let server = BatonServer::start(&place);
    let taken = server.address().to_owned();
    for (address, hint) in [("nowhere", "HOST:PORT"), (taken.as_str(), "--listen")] {
        place.baton(&["serve", "--listen", address]).expect_code(2).expect_stderr(hint);
    }
}

#[test]
fn a_model_that_nobody_has_is_a_404_in_openais_form_also_where_files_answer() {
    let place = TestFolder::with(&[("replies/a.yaml", "agent: gateway\nreplies: [{content: Hi}]\n")]);
    let server = BatonServer::start(&place);
    let ask = |model: &str| {
        let body = json!({ "model": model, "messages": [{"role": "user", "content": "Hello"}] });
        chat(server.address(), server.key().expect("a key"), "", &body).expect("an answer")
    };
    for known in ["fast", "gpt-4"] {
        assert!(ask(known).starts_with("HTTP/1.1 200"));
    }
    let unknown = ask("gpt-44");
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    let body: Value = serde_json::from_str(unknown.split("\r\n\r\n").nth(1).expect("a body")).expect("json");
    assert_eq!((&body["error"]["code"], &body["error"]["param"]), (&json!("MODEL_NOT_FOUND"), &Value::Null));
}

/// Replies in words first, and in JSON once it is told that words could not be used.
fn slow_to_learn(body: &Value) -> Value {
    let is_told = body.to_string().contains("could not be used");
    json!({ "role": "assistant", "content": if is_told { "{\"n\": 7}" } else { "It is seven." } })
}

#[test]
fn a_model_without_structured_output_is_asked_again_and_both_calls_are_in_the_books() {
    let upstream = UpstreamModel::that_says(slow_to_learn);
    let settings = format!(
        "[models]\nbase_url = \"{}\"\napi_key = \"sk-tenant\"\n[models.models]\nfast = [\"mock\"]\n\
         [models.catalogue.mock]\nstructured = \"prompt\"\ninput_usd_per_million = 0\noutput_usd_per_million = 1000\n",
        upstream.url
    );
    let place = TestFolder::with(&[("baton.toml", &settings)]);
    let server = BatonServer::start(&place);
    for (stream, calls) in [(false, 2), (true, 4)] {
        let body = json!({
            "model": "fast", "stream": stream, "max_tokens": 10,
            "messages": [{"role": "user", "content": "How many?", "name": "ana"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "count", "schema": {
                "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]
            }}}
        });
        let answer = chat(server.address(), server.key().expect("a key"), "", &body).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#"{\"n\": 7}"#), "{answer}");
        assert!(!answer.contains("seven") && answer.contains("0.020000000"), "{answer}");
        let asked = upstream.asked();
        assert_eq!(asked.len(), calls);
        assert_eq!((&asked[0].body["messages"][1]["name"], asked[0].body.get("stream")), (&json!("ana"), None));
    }
    assert_eq!(server.stop(), Some(0));
    let costs = place.baton(&["costs", "--by", "model", "--json"]).expect_code(0).json();
    assert_eq!((&costs[0]["total_calls"], &costs[0]["total_cost_usd"]), (&json!(4), &json!(0.04)), "{costs}");
}
