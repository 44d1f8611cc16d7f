//! End-to-end tests of workflows and agents, created and changed over `/api/v1`.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

const TOOLS: &str =
    "tools:\n  - {name: book, kind: script, class: keyed, results: [{output: {id: 'B-{{ arguments.day }}'}}]}\n";
const BOOK: &str = "\
name: book
input: {day: {type: string, default: sunday}}
nodes: [{id: book, tool: book, parameters: {day: '{{ input.day }}'}}]
";
/// A version with another output.
const BOOK_2: &str = "\
name: book
input: {day: {type: string, default: sunday}}
nodes: [{id: again, tool: book, parameters: {day: 'late {{ input.day }}'}}]
";
const REPLIES: &str = "agent: helper\nreplies: [{content: 'It is seven.'}]\n";

fn place() -> TestFolder {
    TestFolder::with(&[("tools/tools.yaml", TOOLS), ("workflows/book.yaml", BOOK), ("replies/helper.yaml", REPLIES)])
}

struct WorkflowsApi {
    server: BatonServer,
    key: String,
}

impl WorkflowsApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key }
    }

    fn ask(&self, request: &str, headers: &str, body: &Value) -> ApiAnswer {
        let (method, path) = request.split_once(' ').expect("a method");
        self.server.ask(&format!("{method} /api/v1{path}"), &self.key, headers, body)
    }

    fn get(&self, path: &str) -> ApiAnswer {
        self.ask(&format!("GET {path}"), "", &Value::Null)
    }

    fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        self.ask(&format!("POST {path}"), "", body)
    }

    /// Sends a document without changes.
    fn write(&self, request: &str, headers: &str, document: &str) -> ApiAnswer {
        let (method, path) = request.split_once(' ').expect("a method");
        self.server.write(&format!("{method} /api/v1{path}"), &self.key, headers, document)
    }

    fn run_of(&self, workflow: &str, context: &Value) -> Value {
        self.post("/workflows/execute", &json!({ "workflow_id": workflow, "context": context })).expect_status(200)
    }

    /// Creates another key.
    fn by(&self, place: &TestFolder, name: &str, role: &str) -> String {
        let made = place.baton(&["keys", "create", name, "--role", role, "--json"]).expect_code(0).json();
        made["key"].as_str().expect("a secret").to_owned()
    }
}

/// A first draft that names an unknown tool, and a second that is valid.
const PLANS: &str = "\
agent: workflow_planner
replies:
  - match: {prompt: book a, last: nobody_has_this}
    json: {name: book, steps: [{id: first, tool_name: book, parameters: {day: monday}}]}
    cost_usd: 0.003
  - match: {prompt: book a}
    json: {name: book, steps: [{id: first, tool_name: nobody_has_this}]}
    cost_usd: 0.002
  - content: I would rather talk.
";

#[test]
fn a_goal_becomes_a_document_that_can_be_kept_and_run() {
    let place = place();
    std::fs::write(place.path().join("replies/planner.yaml"), PLANS).expect("is written");
    let api = WorkflowsApi::of(&place);
    let goal = json!({ "goal": "Please book a table" });
    let key = "Idempotency-Key: one\r\n";
    let drafted = api.ask("POST /workflows/generate", key, &goal).expect_status(200);
    assert_eq!((&drafted["ok"], &drafted["replies"]), (&json!(true), &json!(2)), "{drafted}");
    assert_eq!((&drafted["cost_usd"], &drafted["workflow"]), (&json!(0.005), &json!("book_2")), "one is called so");
    assert_eq!(api.ask("POST /workflows/generate", key, &goal).expect_status(200), drafted, "one draft a key");
    let document = drafted["document"].as_str().expect("a document");
    api.write("POST /workflows?activate=true", "", document).expect_status(201);
    assert_eq!(api.run_of("book_2", &json!({}))["outputs"]["first"]["id"], "B-monday");

    let none = api.post("/workflows/generate", &json!({ "goal": "chat" })).expect_status(200);
    assert_eq!((&none["ok"], &none["replies"]), (&json!(false), &json!(4)), "{none}");
    assert!(none["problem"].as_str().expect("why").contains("no complete JSON"), "{none}");
    let empty = api.post("/workflows/generate", &json!({ "goal": " " })).expect_status(422);
    assert_eq!(empty["code"], "BODY_INVALID", "{empty}");
    api.post("/workflows/generate", &json!({ "goal": "book a", "name": "a\nb" })).expect_status(422);
    let taken = api.post("/workflows/generate", &json!({ "goal": "book a", "name": "book" })).expect_status(409);
    assert_eq!(taken["code"], "NAME_TAKEN", "{taken}");
    let service = api.by(&place, "till", "service");
    api.server.ask("POST /api/v1/workflows/generate", &service, "", &goal).expect_status(403);
}

fn named(text: &str, name: &str) -> String {
    text.replace("name: book", &format!("name: {name}"))
}

#[test]
fn a_workflow_is_made_changed_compared_rolled_back_and_put_away() {
    let api = WorkflowsApi::of(&place());
    let made = api.write("POST /workflows", "", &named(BOOK, "trip"));
    assert_eq!(made.header("location"), Some("/api/v1/workflows/trip"));
    let made = made.expect_status(201);
    assert_eq!(
        (&made["revision"], &made["active"], &made["made_by"]),
        (&json!(1), &json!(false), &json!("first start"))
    );
    let early = api.post("/workflows/execute", &json!({ "workflow_id": "trip" })).expect_status(409);
    assert_eq!(early["code"], "WORKFLOW_INACTIVE", "{early}");
    assert_eq!(api.write("POST /workflows", "", &named(BOOK, "trip")).expect_status(200)["revision"], 1);
    let taken = api.write("POST /workflows", "", &named(BOOK_2, "trip")).expect_status(409);
    assert_eq!(taken["code"], "NAME_TAKEN");
    api.post("/workflows/trip/activate", &json!({ "revision": 1 })).expect_status(200);
    assert_eq!(api.run_of("trip", &json!({}))["outputs"]["book"]["id"], "B-sunday");

    let second = api.write("PUT /workflows/trip?activate=true", "", &named(BOOK_2, "trip")).expect_status(200);
    assert_eq!((&second["revision"], &second["active"]), (&json!(2), &json!(true)));
    assert_eq!(api.run_of("trip", &json!({}))["outputs"]["again"]["id"], "B-late sunday");
    let diff = api.get("/workflows/trip/versions/1/diff/2").expect_status(200);
    let paths: Vec<_> = diff["differences"].as_array().expect("a list").iter().map(|one| &one["path"]).collect();
    assert_eq!(paths, ["definition.nodes[book]", "definition.nodes[again]"], "{diff}");
    assert_eq!(api.get("/workflows/trip/versions/1/diff/9").expect_status(404)["code"], "WORKFLOW_NOT_FOUND");

    assert_eq!(api.post("/workflows/trip/rollback", &json!({})).expect_status(200)["revision"], 1);
    assert_eq!(api.run_of("trip", &json!({}))["outputs"]["book"]["id"], "B-sunday");
    assert_eq!(api.post("/workflows/trip/rollback", &json!({})).expect_status(409)["code"], "WORKFLOW_INACTIVE");

    assert_eq!(api.ask("DELETE /workflows/trip", "", &Value::Null).status, 204);
    assert!(!api.get("/workflows").expect_status(200).to_string().contains("trip"));
    assert_eq!(
        api.post("/workflows/execute", &json!({ "workflow_id": "trip" })).expect_status(409)["code"],
        "WORKFLOW_INACTIVE"
    );
    assert!(api.get("/workflows/trip").expect_status(200)["archived_at"].is_string());
    api.post("/workflows/trip/activate", &json!({ "revision": 2 })).expect_status(200);
    assert_eq!(api.run_of("trip", &json!({}))["status"], "completed");
}

#[test]
fn what_is_wrong_with_a_document_is_told_whole_with_its_places() {
    let api = WorkflowsApi::of(&place());
    let wrong = "name: trip\nnodes:\n  - {id: a, tool: bok}\n  - {id: b, tool: book, colour: red}\n";
    let refused = api.write("POST /workflows", "", wrong);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let refused = refused.expect_status(422);
    assert_eq!(refused["code"], "WORKFLOW_INVALID");
    let stops = |one: &&Value| one["severity"] == "error" || one["severity"] == "draft";
    let found = refused["findings"].as_array().expect("findings").iter().filter(stops);
    assert_eq!(found.map(|one| &one["line"]).collect::<Vec<_>>(), [3, 4], "{refused}");
    let checked = api.write("POST /workflows/validate", "", wrong).expect_status(200);
    assert_eq!((&checked["ok"], &checked["diagnostics"]), (&json!(false), &refused["findings"]));
    let good =
        api.ask("POST /workflows/validate", "", &json!({ "name": "x", "nodes": [{ "id": "a", "tool": "book" }] }));
    let good = good.expect_status(200);
    assert_eq!((&good["ok"], &good["graph"]["nodes"][0]["calls"]), (&json!(true), &json!("book")), "{good}");
    let called = |name: &str| named(BOOK, name);
    for (text, says) in [(called("validate"), "validate"), ("{".to_owned(), "findings"), (called("agent.x"), "kept")] {
        let refused = api.write("POST /workflows", "", &text).expect_status(422);
        assert!(refused.to_string().contains(says), "{refused}");
    }
    let other = api.write("PUT /workflows/trip", "", BOOK).expect_status(422);
    assert!(other["detail"].as_str().is_some_and(|detail| detail.contains("`book`")), "{other}");
    assert_eq!(api.get("/workflows/trip").expect_status(404)["code"], "WORKFLOW_NOT_FOUND", "nothing was kept");
}

#[test]
fn of_two_who_edit_at_once_the_second_is_told() {
    let api = WorkflowsApi::of(&place());
    let shown = api.get("/workflows/book");
    let tag = shown.header("etag").expect("a tag").to_owned();
    let shown = shown.expect_status(200);
    assert_eq!(shown["input"]["properties"]["day"]["type"], "string");
    let header = format!("If-Match: {tag}\r\n");
    let first = api.write("PUT /workflows/book", &header, BOOK_2);
    assert_ne!(first.header("etag"), Some(tag.as_str()));
    first.expect_status(200);
    let second = api.write("PUT /workflows/book", &header, &BOOK_2.replace("late", "later"));
    assert_eq!(second.expect_status(412)["code"], "CHANGED_MEANWHILE");
    assert_eq!(api.ask("DELETE /workflows/book", &header, &Value::Null).status, 412);
    let wrong = api.ask("DELETE /workflows/book", "If-Match: 1\r\n", &Value::Null).expect_status(400);
    assert_eq!(wrong["code"], "PARAMETER_INVALID");
    assert_eq!(api.get("/workflows/book/versions").expect_status(200)["versions"].as_array().map(Vec::len), Some(2));
}

#[test]
fn runs_are_split_among_versions_and_the_same_customer_stays_with_one() {
    let api = WorkflowsApi::of(&place());
    api.write("PUT /workflows/book", "", BOOK_2).expect_status(200);
    for (wrong, says) in [
        (json!([{ "revision": 1, "percent": 50 }]), "50"),
        (json!([{ "revision": 1, "percent": 50 }, { "revision": 1, "percent": 50 }]), "twice"),
        (json!([{ "revision": 1, "percent": 100 }, { "revision": 2, "percent": 0 }]), "1 percent"),
    ] {
        let refused = api.ask("PUT /workflows/book/traffic", "", &json!({ "traffic": wrong })).expect_status(422);
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{refused}");
    }
    let none = json!([{ "revision": 1, "percent": 50 }, { "revision": 7, "percent": 50 }]);
    assert_eq!(api.ask("PUT /workflows/book/traffic", "", &json!({ "traffic": none })).status, 404);
    let half = json!([{ "revision": 1, "percent": 50 }, { "revision": 2, "percent": 50 }]);
    let told = api.ask("PUT /workflows/book/traffic", "", &json!({ "traffic": half })).expect_status(200);
    assert_eq!((&told["traffic"], &told["active"]), (&half, &json!(1)));
    let node = |user: usize| {
        let done = api.run_of("book", &json!({ "user_id": format!("u{user}") }));
        done["trace"]["nodes"][0]["node_id"].as_str().expect("a node").to_owned()
    };
    let first: Vec<String> = (0..12).map(node).collect();
    assert_eq!(first, (0..12).map(node).collect::<Vec<_>>());
    assert!(["book", "again"].iter().all(|id| first.iter().any(|one| one == id)), "{first:?}");
    api.ask("PUT /workflows/book/traffic", "", &json!({ "traffic": [] })).expect_status(200);
    assert!((0..12).all(|user| node(user) == "book"));
}

#[test]
fn builders_edit_and_operators_activate_and_where_two_must_agree_nobody_does_both() {
    let place = place();
    let api = WorkflowsApi::of(&place);
    let (ben, olga) = (api.by(&place, "ben", "builder"), api.by(&place, "olga", "operator"));
    let write = |key: &str, path: &str| api.server.write(&format!("PUT /api/v1{path}"), key, "", BOOK_2);
    assert_eq!(write(&olga, "/workflows/book").expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(write(&ben, "/workflows/book?activate=true").expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(write(&ben, "/workflows/book").expect_status(200)["made_by"], "ben");
    let activate = |api: &WorkflowsApi, key: &str| {
        api.server.ask("POST /api/v1/workflows/book/activate", key, "", &json!({ "revision": 2 }))
    };
    assert_eq!(activate(&api, &ben).expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(activate(&api, &olga).expect_status(200)["active"], true);
    let own = api.key.clone();
    api.server.stop();
    place.write("baton.toml", "[workflows]\nfour_eyes = true\n");
    let server = BatonServer::start(&place);
    let api = WorkflowsApi { server, key: own };
    api.write("PUT /workflows/book", "", &BOOK_2.replace("late", "later")).expect_status(200);
    let third = json!({ "revision": 3 });
    let refused = api.post("/workflows/book/activate", &third).expect_status(403);
    assert!(refused["hint"].as_str().is_some_and(|hint| hint.contains("four_eyes")), "{refused}");
    let done = api.server.ask("POST /api/v1/workflows/book/activate", &olga, "", &third);
    assert_eq!(done.expect_status(200)["revision"], 3);
}

#[test]
fn a_workflow_is_taken_out_and_in_again_under_another_name() {
    let api = WorkflowsApi::of(&place());
    let text = api.server.get("/api/v1/workflows/book/export", Some(&api.key));
    assert!(text.contains("content-disposition: attachment; filename=\"book.yaml\""), "{text}");
    let (_, text) = text.split_once("\r\n\r\n").expect("a body");
    let made = api.write("POST /workflows/import?name=trip&activate=true", "", text).expect_status(201);
    assert_eq!((&made["workflow"], &made["active"]), (&json!("trip"), &json!(true)));
    assert_eq!(api.run_of("trip", &json!({}))["status"], "completed");
    assert_eq!(api.write("POST /workflows/import?name=trip", "", BOOK_2).expect_status(409)["code"], "NAME_TAKEN");
    assert_eq!(
        api.write("POST /workflows/import?name=trip&replace=true", "", BOOK_2).expect_status(200)["revision"],
        2
    );
    let as_json = api.get("/workflows/trip/export?format=json&revision=2").expect_status(200);
    assert_eq!(as_json["nodes"][0]["id"], "again");
    let templates = api.get("/workflows/templates").expect_status(200);
    let one = api.get("/workflows/templates/triage").expect_status(200);
    assert_eq!(templates["templates"], json!([one]));
    assert!(one["yaml"].as_str().is_some_and(|yaml| yaml.contains("open_ticket")));
}

#[test]
fn an_agent_is_made_known_changed_put_to_work_and_forgotten() {
    let place = place();
    place.write("agents/own.yaml", "name: own\ntype: simple\n");
    let api = WorkflowsApi::of(&place);
    let helper = json!({ "name": "helper", "type": "simple", "capabilities": ["small_talk"], "cost_tier": "low" });
    let made = api.post("/agents", &helper);
    let tag = made.header("etag").expect("a tag").to_owned();
    made.expect_status(201);
    assert_eq!(api.post("/agents", &helper).expect_status(200)["is_registered"], true);
    let other = json!({ "name": "helper", "type": "simple", "description": "another" });
    assert_eq!(api.post("/agents", &other).expect_status(409)["code"], "NAME_TAKEN");
    let listed = api.get("/agents?capability=small_talk&cost_tier=low").expect_status(200);
    let card = &listed["agents"][0];
    assert_eq!((&card["name"], &card["type"], &card["is_healthy"]), (&json!("helper"), &json!("simple"), &json!(true)));
    assert_eq!(listed["agents"].as_array().map(Vec::len), Some(1));
    let header = format!("If-Match: {tag}\r\n");
    let changed =
        api.ask("PUT /agents/helper", &header, &json!({ "type": "simple", "description": "Helps" })).expect_status(200);
    assert_eq!(changed["definition"]["description"], "Helps");
    assert_eq!(api.ask("PUT /agents/helper", &header, &helper).expect_status(412)["code"], "CHANGED_MEANWHILE");

    let said = json!({ "task": "What time is it?" });
    let done = api.ask("POST /agents/helper/execute", "Idempotency-Key: k\r\n", &said).expect_status(200);
    assert_eq!(
        (&done["status"], &done["outputs"]["agent"]["text"]),
        (&json!("completed"), &json!("It is seven.")),
        "{done}"
    );
    let again = api.ask("POST /agents/helper/execute", "Idempotency-Key: k\r\n", &said).expect_status(200);
    assert_eq!(again["execution_id"], done["execution_id"]);
    assert!(!api.get("/workflows").expect_status(200).to_string().contains("agent."), "it is nobody's workflow");
    let made = api.write("POST /workflows", "", "name: chat\nnodes: [{id: a, agent: helper, task: Hello}]\n");
    assert_eq!(made.expect_status(201)["workflow"], "chat");

    for (answer, status, code) in [
        (api.post("/agents", &json!({ "name": "own", "type": "simple" })), 409, "NAME_TAKEN"),
        (api.post("/agents", &json!({ "name": "x", "type": "simple", "prompt": "{{ oops" })), 422, "AGENT_INVALID"),
        (api.post("/agents", &json!({ "name": "x", "type": "wise" })), 422, "BODY_INVALID"),
        (
            api.post("/agents", &json!({ "name": "x", "type": "simple", "metadata": { "endpoint_secret": "crm" } })),
            422,
            "AGENT_INVALID",
        ),
        (api.ask("DELETE /agents/own", "", &Value::Null), 409, "NAME_TAKEN"),
        (api.get("/agents/helpr"), 404, "AGENT_NOT_FOUND"),
        (api.post("/agents/helpr/execute", &said), 404, "AGENT_NOT_FOUND"),
        (api.get("/agents?cost_tier=free"), 400, "PARAMETER_INVALID"),
    ] {
        assert_eq!(answer.expect_status(status)["code"], code);
    }
    assert_eq!(api.ask("DELETE /agents/helper", "", &Value::Null).status, 204);
    assert_eq!(api.get("/agents/helper").expect_status(404)["code"], "AGENT_NOT_FOUND");
}

#[test]
fn a_run_is_forked_where_a_node_began_and_says_what_it_cost() {
    let place = place();
    place.write(
        "workflows/two.yaml",
        "name: two\nnodes:\n  - {id: first, tool: book, parameters: {day: a}}\n  \
         - {id: second, tool: book, parameters: {day: '{{ input.day }}'}}\nedges: [{from: first, to: second}]\ninput: {day: string}\n",
    );
    let api = WorkflowsApi::of(&place);
    let body = json!({ "workflow_id": "two", "input_data": { "day": "b" } });
    let run =
        api.post("/workflows/execute", &body).expect_status(200)["execution_id"].as_str().expect("an id").to_owned();
    let path = format!("/executions/{run}/fork");
    let forked =
        api.ask(&format!("POST {path}"), "Idempotency-Key: f\r\n", &json!({ "node_id": "second" })).expect_status(200);
    assert_ne!(forked["execution_id"], run.as_str());
    assert_eq!(
        (&forked["status"], &forked["outputs"]["first"]["id"]),
        (&json!("completed"), &json!("B-a")),
        "{forked}"
    );
    let again =
        api.ask(&format!("POST {path}"), "Idempotency-Key: f\r\n", &json!({ "node_id": "second" })).expect_status(200);
    assert_eq!(again["execution_id"], forked["execution_id"]);
    let wrong = api.post(&path, &json!({ "node_id": "secnd" })).expect_status(422);
    assert!(wrong["hint"].as_str().is_some_and(|hint| hint.contains("`second`")), "{wrong}");
    let wrong = api.post(&path, &json!({ "node_id": "second", "variables": { "dya": 1 } })).expect_status(422);
    assert!(wrong["hint"].as_str().is_some_and(|hint| hint.contains("day")), "{wrong}");
    assert_eq!(
        api.post("/executions/none/fork", &json!({ "node_id": "x" })).expect_status(404)["code"],
        "EXECUTION_NOT_FOUND"
    );
    let costs = api.get(&format!("/executions/{run}/costs")).expect_status(200);
    assert_eq!((&costs["total_cost_usd"], &costs["by_model"]), (&json!(0.0), &json!([])), "{costs}");
}

#[test]
fn a_file_that_changes_becomes_a_version_while_the_server_runs_and_a_bad_one_changes_nothing() {
    let place = place();
    let api = WorkflowsApi::of(&place);
    let revision = || api.get("/workflows/book").expect_status(200)["revision"].clone();
    assert_eq!(revision(), 1);
    place.write("workflows/book.yaml", BOOK_2);
    wait_for("the file is a version", || (revision() == 2).then_some(()));
    assert_eq!(api.run_of("book", &json!({}))["outputs"]["again"]["id"], "B-late sunday");
    // After a manual rollback, the unchanged file does not restore its version.
    api.post("/workflows/book/rollback", &json!({})).expect_status(200);
    place.write("workflows/book.yaml", "name: book\nnodes: [{id: a, tool: nobody}]\n");
    place.write("workflows/more.yaml", named(BOOK, "more"));
    wait_for("the new workflow is there", || (api.get("/workflows/more").status == 200).then_some(()));
    assert_eq!(revision(), 1);
    place.write("agents/helper.yaml", "name: helper\ntype: simple\n");
    wait_for("the new agent is there", || (api.get("/agents/helper").status == 200).then_some(()));
    let said = api.server.stop_and_read();
    assert!(said.contains("`book` is at revision 2 now") && said.contains("nobody"), "{said}");
}

/// A turn of a conversation with a workflow: the reply, and its run.
fn turn(api: &WorkflowsApi, model: &str, said: &[(&str, &str)], headers: &str) -> (String, String) {
    let messages: Vec<Value> = said.iter().map(|(role, text)| json!({ "role": role, "content": text })).collect();
    let body = json!({ "model": model, "messages": messages });
    let answer = api.server.ask("POST /v1/chat/completions", &api.key, headers, &body);
    let run = answer.header("x-baton-execution").unwrap_or_default().to_owned();
    let body = answer.expect_status(200);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    (body["choices"][0]["message"]["content"].as_str().expect("words").to_owned(), run)
}

const TALK: &str = "\
name: talk
input: {message: string}
nodes: [{id: clerk, agent: clerk, task: '{{ message }}'}]
";
const CLERK: &str = "name: clerk\ntype: reasoning\nmetadata: {ask_customer: true}\n";
const CLERK_REPLIES: &str = "\
agent: clerk
replies:
  - match: {expr: turn > 1}
    content: Booked for 10:00.
  - tool_calls: [{name: ask_customer, arguments: {question: Which slot suits you?}}]
";

fn talk() -> TestFolder {
    TestFolder::with(&[
        ("workflows/talk.yaml", TALK),
        ("workflows/ask.yaml", "name: ask\nnodes: [{id: agree, type: human, title: Ship it?}]\n"),
        ("agents/clerk.yaml", CLERK),
        ("replies/clerk.yaml", CLERK_REPLIES),
    ])
}

#[test]
fn a_workflow_is_a_model_and_a_conversation_with_it_is_a_run() {
    let api = WorkflowsApi::of(&talk());
    let models = api.server.ask("GET /v1/models", &api.key, "", &Value::Null).expect_status(200);
    assert!(models.to_string().contains("\"workflow:talk\""), "{models}");
    assert_eq!(api.server.ask("GET /v1/models/workflow:talk", &api.key, "", &Value::Null).status, 200);
    let hello = ("user", "I want to come");
    let (asks, run) = turn(&api, "workflow:talk", &[hello], "");
    assert_eq!(asks, "Which slot suits you?");
    let (done, same) = turn(&api, "workflow:talk", &[hello, ("assistant", &asks), ("user", "10:00")], "");
    assert_eq!((done.as_str(), &same), ("Booked for 10:00.", &run));
    assert_eq!(api.get(&format!("/executions/{run}")).expect_status(200)["status"], "completed");
    // Two conversations begin with the same words. A later message must never reach the other one's run.
    let said: Vec<(String, String)> = (0..2).map(|_| turn(&api, "workflow:talk", &[("user", "Twice")], "")).collect();
    assert_ne!(said[0].1, said[1].1);
    let third = json!([{ "role": "user", "content": "Twice" }, { "role": "assistant", "content": said[0].0 },
        { "role": "user", "content": "10:00" }]);
    let body = json!({ "model": "workflow:talk", "messages": third });
    let refused = api.server.ask("POST /v1/chat/completions", &api.key, "", &body).expect_status(400);
    assert!(
        refused["error"]["message"].as_str().is_some_and(|said| said.contains("X-Baton-Conversation")),
        "{refused}"
    );
    let (told, _) = turn(&api, "workflow:ask", &[("user", "Please")], "");
    assert!(told.contains("A person"), "{told}");
    let none = json!({ "model": "workflow:none", "messages": [{ "role": "user", "content": "Hi" }] });
    let none = api.server.ask("POST /v1/chat/completions", &api.key, "", &none).expect_status(404);
    assert_eq!(none["error"]["code"], "model_not_found");
}

#[test]
fn a_conversation_with_a_workflow_may_have_a_name_and_be_streamed() {
    let api = WorkflowsApi::of(&talk());
    let named = "X-Baton-Conversation: c-7\r\n";
    let (_, run) = turn(&api, "workflow:talk", &[("user", "I want to come")], named);
    let body =
        json!({ "model": "workflow:talk", "stream": true, "messages": [{ "role": "user", "content": "10:00" }] });
    let streamed = crate::server::chat(api.server.address(), &api.key, named, &body).expect("an answer");
    assert!(streamed.contains("Booked for 10:00.") && streamed.contains("data: [DONE]"), "{streamed}");
    assert!(streamed.to_ascii_lowercase().contains(&format!("x-baton-execution: {run}")), "{streamed}");
}

/// Two clients send the same turn at the same time. Returns the runs of the two requests.
fn at_once(api: &WorkflowsApi, body: &Value, headers: &str) -> [String; 2] {
    std::thread::scope(|scope| {
        [(), ()].map(|()| scope.spawn(|| api.server.ask("POST /v1/chat/completions", &api.key, headers, body))).map(
            |turn| {
                let answer = turn.join().expect("it ends");
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.header("x-baton-execution").expect("a run").to_owned()
            },
        )
    })
}

fn says(text: &str, more: &Value) -> Value {
    let mut body = json!({ "model": "workflow:talk", "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

#[test]
fn of_two_who_begin_at_one_instant_with_the_same_words_nobody_comes_into_the_others_run() {
    let api = WorkflowsApi::of(&talk());
    for round in 0..6 {
        let hello = format!("I want to come, {round}");
        let [one, other] = at_once(&api, &says(&hello, &json!({})), "");
        assert_ne!(one, other);
        let next = json!([{ "role": "user", "content": hello },
            { "role": "assistant", "content": "Which slot suits you?" }, { "role": "user", "content": "10:00" }]);
        let next = says("", &json!({ "messages": next }));
        let refused = api.server.ask("POST /v1/chat/completions", &api.key, "", &next).expect_status(400);
        let said = refused["error"]["message"].as_str().expect("why");
        assert!(said.contains("several conversations read the same"), "{refused}");
    }
}

#[test]
fn of_two_first_messages_at_one_instant_in_a_named_conversation_one_begins_the_run_and_the_other_goes_to_it() {
    let api = WorkflowsApi::of(&talk());
    for round in 0..4 {
        let named = format!("X-Baton-Conversation: c-{round}\r\n");
        let [one, other] = at_once(&api, &says("I want to come", &json!({})), &named);
        assert_eq!(one, other, "one conversation is one run");
    }
}

#[test]
fn a_name_of_a_conversation_is_each_users_own() {
    let api = WorkflowsApi::of(&talk());
    let turn = |user: &str, text: &str| {
        let body = says(text, &json!({ "user": user }));
        let named = "X-Baton-Conversation: support\r\n";
        let answer = api.server.ask("POST /v1/chat/completions", &api.key, named, &body);
        let run = answer.header("x-baton-execution").unwrap_or_default().to_owned();
        (run, answer.expect_status(200)["choices"][0]["message"]["content"].clone())
    };
    let (anas, asks) = turn("ana", "I want to come");
    assert_eq!(asks, "Which slot suits you?");
    let (bens, asks) = turn("ben", "Me too");
    assert_ne!(anas, bens);
    assert_eq!(asks, "Which slot suits you?", "it is the beginning of his own");
    assert_eq!(turn("ana", "10:00"), (anas, json!("Booked for 10:00.")));
    assert_eq!(turn("ben", "11:00"), (bens, json!("Booked for 10:00.")));
    let refused = says("Hi", &json!({ "user": "ana\u{a0}" }));
    let refused = api.server.ask("POST /v1/chat/completions", &api.key, "", &refused).expect_status(400);
    assert_eq!(refused["error"]["param"], "user", "{refused}");
}

#[test]
fn a_turn_that_is_sent_again_under_one_key_is_taken_once_and_answered_as_the_first_time() {
    let api = WorkflowsApi::of(&talk());
    let post = |path: &str, once: &str, headers: &str, body: &Value| {
        let headers = format!("Idempotency-Key: {once}\r\n{headers}");
        api.server.ask(&format!("POST {path}"), &api.key, &headers, body)
    };
    let runs = || api.get("/executions?limit=100").expect_status(200)["executions"].as_array().map_or(0, Vec::len);
    let (chat, hello) = ("/v1/chat/completions", says("I want to come", &json!({})));
    let first = post(chat, "t-1", "", &hello);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = post(chat, "t-1", "", &hello);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    for name in ["x-baton-execution", "x-baton-cost-usd"] {
        assert!(first.header(name).is_some());
        assert_eq!(first.header(name), again.header(name), "{name}");
    }
    assert_eq!(first.expect_status(200), again.expect_status(200), "the very same, its id included");
    assert_eq!(runs(), 1);
    // Another body, another conversation or another path makes another request.
    for (path, headers, body) in [
        (chat, "", says("Something else", &json!({}))),
        (chat, "", says("I want to come", &json!({ "stream": true }))),
        (chat, "X-Baton-Conversation: c-1\r\n", hello.clone()),
        ("/v1/responses", "", json!({ "model": "workflow:talk", "input": "I want to come" })),
    ] {
        let reused = post(path, "t-1", headers, &body).expect_status(422);
        assert_eq!(reused["error"]["code"], "IDEMPOTENCY_KEY_REUSED", "{reused}");
    }
    assert_eq!(post(chat, " ", "", &hello).expect_status(400)["error"]["code"], "PARAMETER_INVALID");
    assert_eq!(runs(), 1);

    // A stream is replayed from its first event.
    let streamed = |once: &str, path: &str, body: &Value| {
        let head = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\nIdempotency-Key: {once}\r\n",
            api.key
        );
        let text = api.server.send(&format!("POST {path}"), &head, &body.to_string());
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        text.lines().filter(|line| line.starts_with("data: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    for (once, path, body) in [
        ("s-1", chat, says("In pieces", &json!({ "stream": true }))),
        ("s-2", "/v1/responses", json!({ "model": "workflow:talk", "input": "In pieces too", "stream": true })),
    ] {
        let events = streamed(once, path, &body);
        assert!(events.len() > 1, "{events:?}");
        assert_eq!(streamed(once, path, &body), events);
    }
    assert_eq!(runs(), 3);
    let whole = json!({ "model": "workflow:talk", "input": "Whole" });
    let first = post("/v1/responses", "r-1", "", &whole).expect_status(200);
    assert_eq!(post("/v1/responses", "r-1", "", &whole).expect_status(200), first);

    // An error is replayed too.
    let none = says("Hi", &json!({ "model": "workflow:none" }));
    let refused = post(chat, "n-1", "", &none).expect_status(404);
    let again = post(chat, "n-1", "", &none);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect_status(404), refused);
}

#[test]
fn what_a_failed_turn_was_answered_is_erased_with_its_customer() {
    let place = talk();
    let tools = "tools:\n  - {name: fail, kind: script, class: read, \
                 results: [{fault: {code: 'NO', message: 'no slot: {{ arguments.note }}'}}]}\n";
    place.write("tools/fail.yaml", tools);
    let fails = "name: fails\ninput: {message: string}\nnodes: [{id: a, tool: fail, parameters: {note: '{{ input.message }}'}}]\n";
    place.write("workflows/fails.yaml", fails);
    let api = WorkflowsApi::of(&place);
    let body = says("with my hazelnut allergy", &json!({ "model": "workflow:fails", "user": "ana" }));
    let ask = || api.server.ask("POST /v1/chat/completions", &api.key, "Idempotency-Key: f-1\r\n", &body);
    let failed = ask();
    assert_eq!(failed.header("idempotency-replayed"), None);
    failed.expect_status(502);
    let again = ask();
    assert_eq!((again.status, again.header("idempotency-replayed")), (502, Some("true")));
    let erased = api.post("/customers/ana/erase", &json!({})).expect_status(200);
    assert_eq!(erased["found"], true, "{erased}");
    assert_eq!(ask().header("idempotency-replayed"), None, "it is a turn of its own now");
}

#[test]
fn a_conversation_whose_run_is_gone_goes_on_with_another() {
    let api = WorkflowsApi::of(&talk());
    let ask = |headers: &str, messages: Value| {
        let body = says("", &json!({ "user": "ana", "messages": messages }));
        let answer = api.server.ask("POST /v1/chat/completions", &api.key, headers, &body);
        let run = answer.header("x-baton-execution").unwrap_or_default().to_owned();
        (run, answer.expect_status(200)["choices"][0]["message"]["content"].clone())
    };
    let hello = json!({ "role": "user", "content": "I want to come" });
    let named = "X-Baton-Conversation: c-1\r\n";
    let (first, asks) = ask(named, json!([hello]));
    let (unnamed, _) = ask("", json!([hello]));
    for run in [&first, &unnamed] {
        api.post(&format!("/executions/{run}/cancel"), &json!({})).expect_status(200);
    }
    api.post("/customers/ana/erase", &json!({})).expect_status(200);
    let next = json!({ "role": "user", "content": "10:00" });
    let all = json!([hello, { "role": "assistant", "content": asks }, next]);
    for (headers, messages, gone) in [(named, json!([next]), &first), ("", all, &unnamed)] {
        let (run, asks) = ask(headers, messages);
        assert_ne!(&run, gone);
        assert_eq!(asks, "Which slot suits you?", "it is the beginning of another");
    }
}

#[test]
fn a_key_under_which_many_turns_come_at_once_begins_one_run() {
    let api = WorkflowsApi::of(&talk());
    let body = says("All at once", &json!({}));
    let answers: Vec<ApiAnswer> = std::thread::scope(|scope| {
        let ask = || api.server.ask("POST /v1/chat/completions", &api.key, "Idempotency-Key: many\r\n", &body);
        let turns: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        turns.into_iter().map(|turn| turn.join().expect("it ends")).collect()
    });
    for answer in &answers {
        let is_pending = answer.status == 409 && answer.body["error"]["code"] == "IDEMPOTENCY_UNANSWERED";
        assert!(answer.status == 200 || is_pending, "{answer:?}");
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(api.get("/executions").expect_status(200)["executions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_a_workflow_misses_beside_the_words_is_said_to_come_in_metadata() {
    let place = talk();
    place.write(
        "workflows/order.yaml",
        "name: order\ninput: {message: string, order_id: string}\nnodes: [{id: note, type: transform, set: {a: '1'}}]\n",
    );
    let api = WorkflowsApi::of(&place);
    let ask = |headers: &str, more: Value| {
        let mut body = says("Where is it?", &json!({ "model": "workflow:order" }));
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        api.server.ask("POST /v1/chat/completions", &api.key, headers, &body)
    };
    for headers in ["", "X-Baton-Conversation: o-1\r\n"] {
        let refused = ask(headers, json!({})).expect_status(422);
        let (error, said) = (&refused["error"], refused["error"]["message"].as_str().expect("why"));
        assert_eq!((&error["code"], &error["param"]), (&json!("INPUT_INVALID"), &json!("metadata")), "{refused}");
        assert!(said.contains("`order_id`") && said.contains("comes in `metadata`"), "{refused}");
        ask(headers, json!({ "metadata": { "order_id": "o-7" } })).expect_status(200);
    }
}

#[test]
fn another_tenant_finds_no_workflow_agent_or_conversation_by_any_route() {
    let place = place();
    let api = WorkflowsApi::of(&place);
    let helper = json!({ "name": "helper", "type": "simple" });
    api.post("/agents", &helper).expect_status(201);
    let document = api.get("/openapi.json").expect_status(200);
    api.server.stop();
    place.write("baton.toml", "tenant = \"other\"\n");
    place.write("workflows/book.yaml", named(BOOK, "theirs"));
    let key = place.baton(&["keys", "create", "theirs", "--role", "admin", "--json"]).expect_code(0).json();
    let (server, key) = (BatonServer::start(&place), key["key"].as_str().expect("a secret").to_owned());
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let (part, name, code) = match path {
            _ if path.contains("{workflow_id}") => ("{workflow_id}", "book", "WORKFLOW_NOT_FOUND"),
            _ if path.contains("{agent_id}") => ("{agent_id}", "helper", "AGENT_NOT_FOUND"),
            _ => continue,
        };
        let path = path.replace(part, name).replace("{from}", "1").replace("{to}", "1");
        for method in operations.as_object().expect("operations").keys().filter(|method| *method != "put") {
            let body = match path.rsplit('/').next() {
                Some("activate") => json!({ "revision": 1 }),
                _ if method == "post" => json!({}),
                _ => Value::Null,
            };
            let answer = server.ask(&format!("{} {path}", method.to_uppercase()), &key, "", &body);
            assert_eq!(answer.body["code"], code, "{method} {path}: {answer:?}");
            walked += 1;
        }
    }
    assert!(walked >= 11, "{walked}");
    let traffic = json!({ "traffic": [] });
    let split = server.ask("PUT /api/v1/workflows/book/traffic", &key, "", &traffic).expect_status(404);
    assert_eq!(split["code"], "WORKFLOW_NOT_FOUND");
    let models = server.ask("GET /v1/models", &key, "", &Value::Null).expect_status(200).to_string();
    assert!(models.contains("workflow:theirs") && !models.contains("workflow:book"), "{models}");
}
