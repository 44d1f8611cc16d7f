//! What OpenAI's clients use in addition to chat completions: user fields, embeddings, and responses.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;
use crate::upstream::UpstreamModel;

const SETTINGS: &str = "[tools]\nlanguage = \"es\"\n";
const GOODBYE: &str = "\
name: goodbye
input: {message: string, customer_id: string}
nodes:
  - {id: think, type: transform, set: {secret: '1'}}
  - {id: end, type: sink, action: finish_conversation, config: {message: 'Goodbye, {{ input.customer_id }}!', internal: secret}}
edges: [{from: think, to: end}]
";
const HAND_OVER: &str = "\
name: hand_over
nodes:
  - {id: think, type: transform, set: {secret: '1'}}
  - {id: end, type: sink, action: handover_to_human, config: {reason: angry, required_skills: [returns]}}
edges: [{from: think, to: end}]
";
const SILENT: &str = "\
name: silent
nodes: [{id: think, type: transform, set: {secret: '1'}}, {id: end, type: sink, action: finish_conversation}]
edges: [{from: think, to: end}]
";
const REPLIES: &str = "\
agent: gateway
replies:
  - match: {prompt: weather}
    tool_calls: [{name: get_weather, arguments: {city: Madrid}}]
    usage: {input_tokens: 30, output_tokens: 12}
  - content: Hello from Baton.
    usage: {input_tokens: 11, output_tokens: 4}
";

struct OpenAiApi {
    server: BatonServer,
    key: String,
    /// The folder of the server, kept until the server ends.
    _place: TestFolder,
}

impl OpenAiApi {
    fn open() -> Self {
        let place = TestFolder::with(&[
            ("baton.toml", SETTINGS),
            ("workflows/goodbye.yaml", GOODBYE),
            ("workflows/hand_over.yaml", HAND_OVER),
            ("workflows/silent.yaml", SILENT),
            ("replies/gateway.yaml", REPLIES),
        ]);
        let server = BatonServer::start(&place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key, _place: place }
    }

    fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        self.server.ask(&format!("POST {path}"), &self.key, "", body)
    }

    fn chat(&self, model: &str, more: &Value) -> String {
        let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }], "user": "ana" });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let answer = self.post("/v1/chat/completions", &body).expect_status(200);
        answer["choices"][0]["message"]["content"].as_str().expect("words").to_owned()
    }

    /// The events of a streamed response: their names and data.
    fn events(&self, body: &Value) -> Vec<(String, Value)> {
        let head = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.key);
        let body = body.to_string();
        let text = self.server.send("POST /v1/responses", &head, &body);
        let mut events = Vec::new();
        let mut name = String::new();
        for line in text.lines() {
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(data).expect("json")));
            }
        }
        events
    }
}

#[test]
fn a_workflow_as_a_model_speaks_to_the_customer_and_never_in_json() {
    let door = OpenAiApi::open();
    assert_eq!(door.chat("workflow:goodbye", &json!({})), "Goodbye, ana!");
    let handed = door.chat("workflow:hand_over", &json!({}));
    assert!(handed.contains("una persona"), "{handed}");
    let handed = door.chat("workflow:hand_over", &json!({ "metadata": { "language": "en-GB" } }));
    assert!(handed.contains("A person"), "{handed}");
    assert_eq!(door.chat("workflow:silent", &json!({})), "");
    // The run records its customer.
    let ana = door.server.ask("GET /api/v1/executions?customer_id=ana", &door.key, "", &Value::Null).expect_status(200);
    assert_eq!(ana["executions"].as_array().map(Vec::len), Some(4), "{ana}");
    let response = json!({ "model": "workflow:goodbye", "input": "Bye", "user": "ben" });
    let response = door.post("/v1/responses", &response).expect_status(200);
    assert_eq!(response["output"][0]["content"][0]["text"], "Goodbye, ben!", "{response}");
}

#[test]
fn vectors_come_from_the_embedder_of_memory_as_numbers_or_as_bytes() {
    let door = OpenAiApi::open();
    let models = door.server.ask("GET /v1/models", &door.key, "", &Value::Null).expect_status(200);
    let names = models["data"].as_array().expect("a list").iter().filter_map(|model| model["id"].as_str());
    let model = names.clone().find(|name| name.starts_with("builtin")).expect("the embedder").to_owned();
    let ask = |more: Value| {
        let mut body = json!({ "model": model, "input": ["a red bicycle", "a blue car", "a red bicycle"] });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        door.post("/v1/embeddings", &body)
    };
    let numbers = ask(json!({})).expect_status(200);
    assert_eq!((&numbers["object"], &numbers["model"]), (&json!("list"), &json!(model)));
    let vectors = numbers["data"].as_array().expect("a list");
    let places: Vec<u64> = vectors.iter().filter_map(|one| one["index"].as_u64()).collect();
    assert_eq!(places, [0, 1, 2]);
    assert_eq!(vectors[0]["embedding"], vectors[2]["embedding"]);
    assert_ne!(vectors[0]["embedding"], vectors[1]["embedding"]);
    assert!(numbers["usage"]["total_tokens"].as_u64().is_some_and(|tokens| tokens > 0));
    let bytes = ask(json!({ "encoding_format": "base64", "input": "a red bicycle" })).expect_status(200);
    let bytes = bytes["data"][0]["embedding"].as_str().expect("text").to_owned();
    let bytes = base64::engine::general_purpose::STANDARD.decode(bytes).expect("base64");
    let vector: Vec<f32> =
        bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect();
    let first: Vec<f32> = serde_json::from_value(vectors[0]["embedding"].clone()).expect("numbers");
    assert_eq!(vector, first);
    for (more, status, param) in [
        (json!({ "model": "text-embedding-none" }), 404, "model"),
        (json!({ "dimensions": 7 }), 400, "dimensions"),
        (json!({ "encoding_format": "hex" }), 400, "encoding_format"),
        (json!({ "input": [1, 2] }), 400, "input"),
        (json!({ "input": [] }), 400, "input"),
        (json!({ "input": vec!["x"; 2_049] }), 400, "input"),
    ] {
        let refused = ask(more).expect_status(status);
        assert_eq!(refused["error"]["param"], param, "{refused}");
    }
}

#[test]
fn vectors_are_paid_out_of_the_keys_budget_too() {
    let upstream = UpstreamModel::start();
    let settings = format!(
        "[memory]\nembedder = \"openai\"\nbase_url = \"{}\"\nmodel = \"text-embedding-3-small\"\ndimensions = 4\n",
        upstream.url
    );
    let place = TestFolder::with(&[("baton.toml", &settings)]);
    let server = BatonServer::start(&place);
    let admin = server.key().expect("a key").to_owned();
    let made =
        server.ask("POST /api/v1/keys", &admin, "", &json!({ "name": "k", "role": "service" })).expect_status(201);
    let (key, id) = (made["key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    let embeds = |key: &str| {
        let body = json!({ "model": "text-embedding-3-small", "input": "a red bicycle" });
        server.ask("POST /v1/embeddings", key, "", &body)
    };
    embeds(key).expect_status(200);
    wait_for("what it cost is counted to the key", || {
        let costs = server.ask("GET /api/v1/costs?by=key", &admin, "", &Value::Null).expect_status(200);
        costs.to_string().contains(id).then_some(())
    });
    let nothing = json!({ "daily_usd": 0 });
    server.ask(&format!("PUT /api/v1/budgets/{id}"), &admin, "", &nothing).expect_status(200);
    let asked = upstream.asked().len();
    let refused = embeds(key).expect_status(429);
    assert_eq!(refused["error"]["code"], "BUDGET_EXCEEDED", "{refused}");
    assert!(refused["error"]["message"].as_str().expect("why").contains(id), "{refused}");
    assert_eq!(upstream.asked().len(), asked, "the embedder is not asked");
    embeds(&admin).expect_status(200);
}

const TOOLS: &str =
    r#"[{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": false}]"#;

#[test]
fn a_response_is_answered_whole_with_its_words_or_its_calls() {
    let door = OpenAiApi::open();
    let tools: Value = serde_json::from_str(TOOLS).expect("json");
    let said = door.post("/v1/responses", &json!({ "model": "fast", "input": "Hi", "instructions": "Be brief." }));
    assert!(said.header("x-baton-cost-usd").is_some() && said.header("x-baton-call").is_some(), "{}", said.head);
    let said = said.expect_status(200);
    assert_eq!((&said["object"], &said["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(said["output"][0]["content"][0]["text"], "Hello from Baton.");
    assert_eq!(said["usage"]["total_tokens"], 15);
    let called = door.post("/v1/responses", &json!({ "model": "fast", "input": "The weather?", "tools": tools }));
    let called = called.expect_status(200);
    let call = &called["output"][0];
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")), "{called}");
    // The earlier turns, as a client sends them back.
    let items = json!([
        { "role": "user", "content": "The sky?" }, call,
        { "type": "function_call_output", "call_id": call["call_id"], "output": "sunny" },
        { "role": "user", "content": "Thanks" },
    ]);
    let said =
        door.post("/v1/responses", &json!({ "model": "fast", "input": items, "tools": tools })).expect_status(200);
    assert_eq!(said["output"][0]["content"][0]["text"], "Hello from Baton.", "{said}");
    let refused = door.post("/v1/responses", &json!({ "model": "fast", "input": "Hi", "previous_response_id": "r" }));
    assert_eq!(refused.expect_status(400)["error"]["param"], "previous_response_id");
}

#[test]
fn a_streamed_response_tells_each_item_from_its_beginning_to_its_end() {
    let door = OpenAiApi::open();
    let tools: Value = serde_json::from_str(TOOLS).expect("json");
    for (input, item, deltas) in [
        ("Hi", "message", "response.output_text.delta"),
        ("The weather?", "function_call", "response.function_call_arguments.delta"),
    ] {
        let events = door.events(&json!({ "model": "fast", "input": input, "tools": tools, "stream": true }));
        for (place, (name, event)) in events.iter().enumerate() {
            assert_eq!(
                (event["type"].as_str(), event["sequence_number"].as_u64()),
                (Some(&**name), Some(place as u64))
            );
        }
        let names: Vec<&str> = events.iter().map(|(name, _)| &**name).filter(|name| *name != deltas).collect();
        let part = |what: &'static str| (item == "message").then_some(what);
        let expect: Vec<&str> = [
            Some("response.created"),
            Some("response.in_progress"),
            Some("response.output_item.added"),
            part("response.content_part.added"),
            Some(if item == "message" { "response.output_text.done" } else { "response.function_call_arguments.done" }),
            part("response.content_part.done"),
            Some("response.output_item.done"),
            Some("response.completed"),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(names, expect);
        let told: String =
            events.iter().filter_map(|(name, event)| (name == deltas).then(|| event["delta"].as_str())?).collect();
        let whole = &events.last().expect("an end").1["response"]["output"][0];
        assert_eq!(whole["type"], item);
        match item {
            "message" => assert_eq!(whole["content"][0]["text"], told.as_str()),
            _ => assert_eq!(whole["arguments"], told.as_str()),
        }
    }
}
