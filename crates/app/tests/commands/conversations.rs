//! End-to-end tests of conversations: customers write, runs answer, people take over and hand back.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::scope;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer};
use crate::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - {name: echo, kind: script, class: read, results: [{output: {text: 'you said {{ arguments.text }}'}}]}
  - {name: broken, kind: script, class: read, results: [{fault: {code: NO, message: 'not today'}}]}
";
/// Succeeds at the first node, and fails at the next.
const BREAKS: &str = "\
name: breaks
nodes: [{id: first, tool: echo, parameters: {text: x}}, {id: ask, tool: broken}]
edges: [{from: first, to: ask}]
";
const ECHO: &str = "\
name: echo
nodes: [{id: echo, tool: echo, parameters: {text: '{{ input.message }}'}}]
";
/// Waits for the customer's next message, and repeats it.
const WAIT: &str = "name: wait\nnodes: [{id: next, type: wait, signal: message}]\n";

/// Time limit for any wait.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

fn place() -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", ""),
        ("tools/tools.yaml", TOOLS),
        ("workflows/echo.yaml", ECHO),
        ("workflows/wait.yaml", WAIT),
        ("workflows/breaks.yaml", BREAKS),
    ])
}

/// A server with its admin key.
struct ConversationsApi {
    server: BatonServer,
    key: String,
}

impl ConversationsApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key }
    }

    fn get(&self, path: &str) -> Value {
        self.server.ask(&format!("GET /api/v1{path}"), &self.key, "", &Value::Null).expect_status(200)
    }

    fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        self.server.ask(&format!("POST /api/v1{path}"), &self.key, "", body)
    }

    fn begin(&self, workflow: &str, message: Option<&str>) -> Value {
        self.post("/conversations", &json!({ "workflow_id": workflow, "message": message })).expect_status(200)
    }

    fn says(&self, id: &str, text: &str) -> Value {
        self.post(&format!("/conversations/{id}/messages"), &json!({ "text": text })).expect_status(200)
    }

    /// `from: text` of each line.
    fn lines(&self, id: &str) -> Vec<String> {
        let said = self.get(&format!("/conversations/{id}/messages?limit=500"));
        let lines = said["messages"].as_array().expect("lines").iter();
        lines
            .map(|line| {
                format!("{}: {}", line["from"].as_str().expect("a text"), line["text"].as_str().expect("a text"))
            })
            .collect()
    }
}

fn id(conversation: &Value) -> String {
    conversation["conversation_id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_message_is_answered_by_a_run_and_a_repeated_one_is_the_same_message() {
    let talks = ConversationsApi::of(&place());
    let begun = talks.begin("echo", Some("hello"));
    assert_eq!((&begun["state"], &begun["status"]), (&json!("finished"), &json!("closed")), "{begun}");
    let id = id(&begun);
    let again = json!({ "text": "once", "message_id": "m1" });
    for _ in 0..3 {
        talks.post(&format!("/conversations/{id}/messages"), &again).expect_status(200);
    }
    assert_eq!(talks.lines(&id), ["customer: hello", "ai: you said hello", "customer: once", "ai: you said once"]);
    let page = talks.get(&format!("/conversations/{id}/messages?limit=1"));
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    let listed = talks.get("/conversations?status=closed&limit=1");
    assert_eq!(listed["conversations"][0]["conversation_id"], json!(id), "{listed}");
}

#[test]
fn a_conversation_whose_answer_nobody_waits_for_may_be_written_to_at_once() {
    let talks = ConversationsApi::of(&place());
    for _ in 0..20 {
        let body = json!({ "workflow_id": "echo", "message": "one" });
        let begun = talks.server.ask("POST /api/v1/conversations", &talks.key, "Prefer: respond-async\r\n", &body);
        assert!(matches!(begun.status, 200 | 202), "{begun:?}");
        assert_eq!(begun.body["workflow_id"], "echo", "all of it is shown: {begun:?}");
        talks.says(&id(&begun.body), "two");
    }
}

#[test]
fn a_run_that_waits_for_the_customer_is_given_the_next_message() {
    let talks = ConversationsApi::of(&place());
    let begun = talks.begin("wait", Some("one"));
    assert_eq!(begun["state"], "ai_processing");
    let waiting = begun["execution_id"].clone();
    let id = id(&begun);
    let answered = talks.says(&id, "two");
    assert_eq!((&answered["state"], &answered["runs"]), (&json!("finished"), &json!(1)), "{answered}");
    assert_eq!(talks.lines(&id), ["customer: one", "customer: two", "ai: two"]);
    // Its run is an ordinary execution.
    let run = talks.get(&format!("/executions/{}", waiting.as_str().expect("a text")));
    assert_eq!(run["status"], "completed");
}

#[test]
fn a_run_that_its_conversation_let_go_is_not_retried_and_its_fork_is_a_run_of_its_own() {
    let talks = ConversationsApi::of(&place());
    let begun = talks.begin("breaks", Some("hello"));
    let id = id(&begun);
    let (run, said) = (format!("{id}.1"), talks.lines(&id));
    assert_eq!(talks.get(&format!("/executions/{run}"))["status"], "failed");
    assert!(said.len() == 2 && said[1].starts_with("ai: Something went wrong"), "{said:?}");
    let refused = talks.post(&format!("/executions/{run}/retry"), &json!({})).expect_status(409);
    assert_eq!(refused["code"], "RUN-013");
    let why = refused["detail"].as_str().expect("why");
    assert!(why.contains(&id) && why.contains("fork it"), "{why}");
    assert_eq!(talks.get(&format!("/executions/{run}"))["status"], "failed", "nothing was changed");
    let fork = talks.post(&format!("/executions/{run}/fork"), &json!({"node_id": "ask"})).expect_status(200);
    assert_eq!((&fork["status"], &fork["error"]["code"]), (&json!("failed"), &json!("NO")), "{fork}");
    assert_eq!(talks.lines(&id), said, "what it says is not the conversation's");
    // The next message starts another run.
    assert_eq!(talks.says(&id, "again")["runs"], 2);
}

#[test]
fn people_take_over_speak_alone_and_give_back() {
    let talks = ConversationsApi::of(&place());
    let id = id(&talks.begin("echo", Some("hello")));
    let on = |verb: &str, body: Value| talks.post(&format!("/conversations/{id}/{verb}"), &body);
    let waits = talks.says(&id, "I want to speak to a human");
    assert_eq!((&waits["state"], &waits["hil_reason"]), (&json!("pending_human"), &json!("explicit_request")));
    assert!(waits["handover_context"]["summary"].as_str().expect("a text").contains("hello"), "{waits}");
    assert_eq!(on("posts", json!({ "text": "Hi", "number": 2 })).expect_status(409)["code"], "CONV-003");
    let number = on("take-over", json!({})).expect_status(200)["number"].clone();
    assert_eq!(on("posts", json!({ "text": "Hi", "number": 1 })).expect_status(409)["code"], "CONV-004");
    on("posts", json!({ "text": "I am here", "number": number })).expect_status(200);
    on("notes", json!({ "text": "they are nice" })).expect_status(200);
    assert_eq!(on("rate", json!({ "score": 5 })).expect_status(409)["code"], "CONV-005");
    assert_eq!(on("give-back", json!({ "note": "be kind" })).expect_status(200)["state"], "back_to_ai");
    assert_eq!(talks.says(&id, "bye")["state"], "finished");
    on("take-over", json!({})).expect_status(200);
    assert_eq!(on("resolve", json!({})).expect_status(200)["status"], "closed");
    assert_eq!(on("rate", json!({ "score": 5, "comment": "thanks" })).expect_status(200)["rating"], 5);
    assert_eq!(on("reopen", json!({})).expect_status(200)["state"], "pending_human");
    let expected = [
        "customer: hello",
        "ai: you said hello",
        "customer: I want to speak to a human",
        "person: I am here",
        "note: they are nice",
        "customer: bye",
        "ai: you said bye",
    ];
    assert_eq!(talks.lines(&id), expected);
}

#[test]
fn what_is_asked_wrongly_is_told_so() {
    let talks = ConversationsApi::of(&place());
    let begin = |body: Value| talks.post("/conversations", &body);
    assert_eq!(begin(json!({ "workflow_id": "nobody" })).expect_status(404)["code"], "WORKFLOW_NOT_FOUND");
    let key = json!({ "workflow_id": "echo", "context": { "api_key": "sk-1" } });
    assert_eq!(begin(key).expect_status(422)["code"], "BODY_INVALID");
    assert_eq!(
        talks.post("/conversations/none/messages", &json!({ "text": "x" })).expect_status(404)["code"],
        "CONVERSATION_NOT_FOUND"
    );
    let id = id(&talks.begin("echo", None));
    let long = json!({ "text": "x".repeat((16 << 10) + 1) });
    assert_eq!(talks.post(&format!("/conversations/{id}/messages"), &long).expect_status(422)["code"], "CONV-006");
    let answer = talks.server.ask("GET /api/v1/conversations?state=odd", &talks.key, "", &Value::Null);
    assert_eq!(answer.expect_status(400)["code"], "PARAMETER_INVALID");
}

#[test]
fn who_reads_along_is_told_what_is_said_and_comes_back_without_hearing_it_twice() {
    let talks = ConversationsApi::of(&place());
    let id = id(&talks.begin("echo", Some("hello")));
    let path = format!("/api/v1/conversations/{id}/events");
    let mut listener = talks.server.listen(&path, &talks.key, "");
    let first = listener.next().expect("an event");
    assert_eq!((first.kind.as_str(), &first.data["text"]), ("message", &json!("hello")));
    let second = listener.next().expect("an event");
    assert_eq!(second.data["text"], "you said hello");
    let last = second.id.expect("a place");
    talks.says(&id, "more");
    let mut back = talks.server.listen(&path, &talks.key, &format!("Last-Event-ID: {last}\r\n"));
    assert_eq!(back.next().expect("an event").data["text"], "more");
}

#[test]
fn the_conversation_of_the_seed_is_held_in_the_shop() {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
    let place = TestFolder::copy_of(&shop);
    let talks = ConversationsApi::of(&place);
    let begin = json!({
        "workflow_id": "customer_support_advanced", "user_id": "cust_789", "channel": "web",
        "message": "I want to return order #12345",
    });
    let begun = talks.post("/conversations", &begin).expect_status(200);
    let id = id(&begun);
    assert_eq!(begun["last_message"], "Hi! I've processed your return. The label is in your inbox.", "{begun}");
    assert_eq!(talks.says(&id, "Can I talk to a person about the refund?")["state"], "pending_human");
    let on = |verb: &str, body: Value| talks.post(&format!("/conversations/{id}/{verb}"), &body).expect_status(200);
    let taken = on("take-over", json!({}));
    let tried = taken["handover_context"]["tried"].to_string();
    assert!(tried.contains("handle_return") && taken["state"] == "human_active", "{taken}");
    on("posts", json!({ "text": "Your refund comes within 3 days.", "number": taken["number"] }));
    assert_eq!(on("give-back", json!({ "note": "refund confirmed" }))["state"], "back_to_ai");
    assert_eq!(talks.says(&id, "When are you open?")["owner"], "ai");
    on("take-over", json!({}));
    assert_eq!(on("resolve", json!({}))["state"], "resolved");
}

#[test]
fn a_tenants_conversations_are_nobody_elses() {
    let place = place();
    let talks = ConversationsApi::of(&place);
    let id = id(&talks.begin("echo", Some("hello")));
    talks.server.stop();
    place.write("baton.toml", "tenant = \"other\"\n");
    let key = place.baton(&["keys", "create", "theirs", "--role", "admin", "--json"]).expect_code(0).json();
    let key = key["key"].as_str().expect("a secret").to_owned();
    let server = BatonServer::start(&place);
    let ask = |request: &str, body: &Value| server.ask(request, &key, "", body);
    let document = ask("GET /api/v1/openapi.json", &Value::Null).expect_status(200);
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys().filter(|_| path.contains("{conversation_id}"))
        {
            let body = match path.rsplit('/').next() {
                Some("posts") => json!({ "text": "x", "number": 1 }),
                Some("messages" | "notes") => json!({ "text": "x" }),
                Some("rate") => json!({ "score": 5 }),
                Some("service-level") => json!({ "priority": "low" }),
                _ => json!({}),
            };
            let answer = ask(&format!("{} {}", method.to_uppercase(), path.replace("{conversation_id}", &id)), &body);
            assert_eq!(answer.body["code"], "CONVERSATION_NOT_FOUND", "{method} {path}: {answer:?}");
            walked += 1;
        }
    }
    assert!(walked >= 11, "{walked}");
    assert_eq!(ask("GET /api/v1/conversations", &Value::Null).expect_status(200)["conversations"], json!([]));
}

#[test]
fn what_is_answered_is_as_the_document_says() {
    let talks = ConversationsApi::of(&place());
    let document = talks.get("/openapi.json");
    let begun = talks.begin("echo", Some("hello"));
    let id = id(&begun);
    for (answered, schema) in [
        (begun, "Conversation"),
        (talks.get("/conversations"), "Conversations"),
        (talks.get(&format!("/conversations/{id}")), "Conversation"),
        (talks.get(&format!("/conversations/{id}/messages")), "Messages"),
    ] {
        let whole = json!({ "$ref": format!("#/components/schemas/{schema}"), "components": document["components"] });
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let faults: Vec<String> = validator.iter_errors(&answered).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{schema}: {faults:?}\n{answered}");
    }
}

/// Number of senders, and of messages from each.
const SENDERS: usize = 200;
const CONVERSATIONS: usize = 50;
const EACH: u64 = 3;

#[test]
fn two_hundred_senders_are_each_heard_once_in_order_and_no_two_owners_speak() {
    let talks = ConversationsApi::of(&place());
    let ids: Vec<String> = (0..CONVERSATIONS).map(|_| id(&talks.begin("echo", None))).collect();
    scope(|threads| {
        for sender in 0..SENDERS {
            let (talks, id) = (&talks, &ids[sender % CONVERSATIONS]);
            threads.spawn(move || {
                // Out of order, and everything twice.
                for sequence in [2, 1, 1, 3, 2, 3] {
                    let body = json!({
                        "text": format!("{sender}.{sequence}"), "message_id": format!("m{sequence}"),
                        "source": format!("s{sender}"), "sequence": sequence,
                    });
                    let request = format!("POST /api/v1/conversations/{id}/messages");
                    let answer = talks.server.ask(&request, &talks.key, "Prefer: respond-async\r\n", &body);
                    assert!(matches!(answer.status, 200 | 202), "{answer:?}");
                }
            });
        }
        // In some of them a person speaks in between, and hands back.
        for id in ids.iter().step_by(5) {
            let talks = &talks;
            threads.spawn(move || {
                let on = |verb: &str, body: Value| talks.post(&format!("/conversations/{id}/{verb}"), &body);
                let number = on("take-over", json!({})).body["number"].clone();
                on("posts", json!({ "text": "me", "number": number }));
                on("give-back", json!({}));
            });
        }
    });
    let until = Instant::now() + WAIT_LIMIT;
    for id in &ids {
        let count = EACH * (SENDERS / CONVERSATIONS) as u64;
        loop {
            let now = talks.get(&format!("/conversations/{id}"));
            let is_over = now["messages"] == json!(count) && now["execution_id"].is_null();
            if is_over && ["finished", "back_to_ai"].iter().any(|state| now["state"] == *state) {
                break;
            }
            assert!(Instant::now() < until, "{now}");
            std::thread::sleep(Duration::from_millis(50));
        }
        check(&talks, id);
    }
}

/// Checks the guarantees for one conversation's transcript.
fn check(talks: &ConversationsApi, id: &str) {
    let said = talks.get(&format!("/conversations/{id}/messages?limit=500"));
    let lines = said["messages"].as_array().expect("lines");
    let text = |line: &Value| line["text"].as_str().expect("a text").to_owned();
    let customers: Vec<&Value> = lines.iter().filter(|line| line["from"] == "customer").collect();
    let mut heard: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in &customers {
        let (source, number) =
            (line["source"].as_str().expect("a text").to_owned(), line["sequence"].as_u64().expect("a number"));
        let before = heard.entry(source).or_default();
        // On a machine that stalls for 5 s, a gap may be skipped. A message that arrives later is marked.
        let is_in_order = before.iter().all(|earlier| *earlier < number);
        assert!(!before.contains(&number) && (is_in_order || line["after_gap"] == true), "{before:?} {line}");
        before.push(number);
    }
    assert!(heard.values().all(|numbers| numbers.len() as u64 == EACH), "{heard:?}");
    // Replies of runs, sent or suggested, follow the order of their messages, and none is repeated.
    let answered: Vec<String> =
        lines.iter().filter(|line| ["ai", "suggestion"].iter().any(|from| line["from"] == *from)).map(text).collect();
    let asked: Vec<String> = customers.iter().map(|line| format!("you said {}", text(line))).collect();
    let mut rest = asked.iter();
    assert!(answered.iter().all(|answer| rest.any(|one| one == answer)), "{answered:?}\n{asked:?}");
    let mut owners: BTreeMap<u64, String> = BTreeMap::new();
    let mut highest = 0;
    for line in lines.iter().filter(|line| line["from"] == "ai" || line["from"] == "person") {
        let number = line["owned"].as_u64().expect("a number");
        assert!(number >= highest, "an owner of before spoke: {line}");
        highest = number;
        let who = line["from"].as_str().expect("a text").to_owned();
        assert_eq!(*owners.entry(number).or_insert(who.clone()), who, "two owners of one number: {line}");
    }
    let has_person = lines.iter().any(|line| line["from"] == "person");
    assert!(has_person || answered.len() == asked.len(), "{lines:?}");
}
