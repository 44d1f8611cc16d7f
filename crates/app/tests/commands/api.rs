//! End-to-end tests of `/api/v1`: a server on a project, and requests as any client makes them.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, StreamedEvent};
use crate::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - {name: book, kind: script, class: keyed, results: [{output: {id: 'B-{{ arguments.day }}'}}],
     compensation: {tool: unbook, parameters: {id: '{{ output.id }}'}}}
  - {name: unbook, kind: script, class: keyed, results: [{output: {}}]}
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {receipt: R-1}}]}
";
const SETTINGS: &str = "[tools.tool.pay]\napproval = true\napprovers = { from = [\"olga\"] }\n";
const BOOK: &str = "\
name: book
input: {day: {type: string, default: sunday}}
nodes: [{id: book, tool: book, parameters: {day: '{{ input.day }}'}}]
";
const PAY: &str = "name: pay\nnodes: [{id: pay, tool: pay}]\n";
const ASK: &str = "name: ask\nnodes: [{id: agree, type: human, title: Ship it?}, {id: pay, tool: unbook}]\nedges: [{from: agree, to: pay}]\n";
const WAIT: &str = "name: wait\nnodes: [{id: parcel, type: wait, signal: arrived}]\n";

fn place() -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", SETTINGS),
        ("tools/tools.yaml", TOOLS),
        ("workflows/book.yaml", BOOK),
        ("workflows/pay.yaml", PAY),
        ("workflows/ask.yaml", ASK),
        ("workflows/wait.yaml", WAIT),
    ])
}

/// A server with its admin key.
struct RunsApi {
    server: BatonServer,
    key: String,
}

impl RunsApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key }
    }

    fn get(&self, path: &str) -> ApiAnswer {
        self.server.ask(&format!("GET /api/v1{path}"), &self.key, "", &Value::Null)
    }

    fn post(&self, path: &str, headers: &str, body: &Value) -> ApiAnswer {
        self.server.ask(&format!("POST /api/v1{path}"), &self.key, headers, body)
    }

    /// Creates a key of another person.
    fn key_of(&self, place: &TestFolder, name: &str, role: &str) -> String {
        let made = place.baton(&["keys", "create", name, "--role", role, "--json"]).expect_code(0).json();
        made["key"].as_str().expect("a secret").to_owned()
    }

    fn execute(&self, workflow: &str, input: &Value) -> ApiAnswer {
        self.post("/workflows/execute", "", &json!({ "workflow_id": workflow, "input_data": input }))
    }
}

fn id(execution: &Value) -> String {
    execution["execution_id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_workflow_is_executed_and_answered_with_its_trace() {
    let place = place();
    let api = RunsApi::of(&place);
    let answer = api.execute("book", &json!({ "day": "monday" }));
    assert_eq!(answer.header("location"), None);
    let done = answer.expect_status(200);
    assert_eq!((&done["status"], &done["outputs"]["book"]["id"]), (&json!("completed"), &json!("B-monday")), "{done}");
    assert_eq!(
        (&done["trace"]["workflow_id"], &done["trace"]["nodes"][0]["node_id"]),
        (&json!("book"), &json!("book"))
    );
    assert_eq!(done["trace"]["nodes"][0]["success"], true);
    let run = id(&done);
    let shown = api.get(&format!("/executions/{run}")).expect_status(200);
    assert_eq!(
        (&shown["workflow_id"], &shown["rollback_plan"][0]["undo"]),
        (&json!("book"), &json!("unbook")),
        "{shown}"
    );
    let steps = api.get(&format!("/executions/{run}/timeline")).expect_status(200);
    assert_eq!(steps["steps"][0]["tool_name"], "book");
    assert_eq!(api.get(&format!("/executions/{run}/summary")).expect_status(200)["successful"], 1);
    let graph = api.get(&format!("/executions/{run}/graph")).expect_status(200);
    assert_eq!(graph["nodes"][0]["kind"], "tool");
    assert_eq!(api.get(&format!("/executions/{run}/graph?format=json")).expect_status(200), graph);
    for (format, drawn) in [("mermaid", "graph TD"), ("dot", "digraph"), ("levels", "book\n")] {
        let told = api.server.get(&format!("/api/v1/executions/{run}/graph?format={format}"), Some(&api.key));
        assert!(told.starts_with("HTTP/1.1 200") && told.contains(drawn) && told.contains("text/plain"), "{told}");
    }
    for what in ["", "/timeline", "/summary", "/costs"] {
        assert_eq!(
            api.get(&format!("/executions/{run}{what}?format=dot")).expect_status(400)["code"],
            "PARAMETER_INVALID"
        );
    }
    for wrong in ["format=png", "form=dot", "format=dot&x=1"] {
        assert_eq!(
            api.get(&format!("/executions/{run}/graph?{wrong}")).expect_status(400)["code"],
            "PARAMETER_INVALID"
        );
    }
    let listed = api.get("/executions?workflow_id=book&state=completed").expect_status(200);
    assert_eq!(listed["executions"][0]["execution_id"], run.as_str());
    assert_eq!(listed["next_cursor"], Value::Null);
    // The command line shows the same run.
    assert_eq!(place.baton(&["runs", "show", &run, "--json"]).expect_code(0).json()["state"], "completed");
}

#[test]
fn what_is_asked_twice_under_one_key_is_done_once() {
    let api = RunsApi::of(&place());
    let body = json!({ "workflow_id": "book", "input_data": { "day": "monday" } });
    let first = api.post("/workflows/execute", "Idempotency-Key: k1\r\n", &body);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = api.post("/workflows/execute", "Idempotency-Key: k1\r\n", &body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(id(&first.expect_status(200)), id(&again.expect_status(200)));
    let other = json!({ "workflow_id": "book", "input_data": { "day": "friday" } });
    let reused =
        api.post("/workflows/execute", "Idempotency-Key: k1\r\nPrefer: respond-async\r\n", &other).expect_status(422);
    assert_eq!(reused["code"], "IDEMPOTENCY_KEY_REUSED");
    assert!(reused["execution_id"].is_string() && reused["hint"].is_string(), "{reused}");
    assert_eq!(api.get("/executions").expect_status(200)["executions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_request_that_leaves_a_default_out_can_be_repeated_also_when_the_workflow_is_another_by_now() {
    let place = place();
    let api = RunsApi::of(&place);
    let body = json!({ "workflow_id": "book" });
    let first = id(&api.post("/workflows/execute", "Idempotency-Key: k\r\n", &body).expect_status(200));
    place.write("workflows/book.yaml", BOOK.replace("{type: string, default: sunday}", "string"));
    place.baton(&["run", "book", "-s", "day=friday"]).expect_code(0);
    assert_eq!(api.post("/workflows/execute", "", &body).expect_status(422)["code"], "INPUT_INVALID");
    let again = api.post("/workflows/execute", "Idempotency-Key: k\r\n", &body);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(id(&again.expect_status(200)), first);
}

#[test]
fn a_request_that_was_refused_before_anything_was_begun_may_be_corrected_under_its_key() {
    let api = RunsApi::of(&place());
    let ask = |input: &Value| {
        let body = json!({ "workflow_id": "book", "input_data": input });
        api.post("/workflows/execute", "Idempotency-Key: k\r\n", &body)
    };
    assert_eq!(ask(&json!({ "day": 7 })).expect_status(422)["code"], "INPUT_INVALID");
    let done = ask(&json!({ "day": "monday" }));
    assert_eq!(done.header("idempotency-replayed"), None);
    assert_eq!(done.expect_status(200)["outputs"]["book"]["id"], "B-monday");
}

#[test]
fn a_server_that_is_told_to_stop_waits_for_nobody_who_reads_along() {
    let api = RunsApi::of(&place());
    let run = id(&api.execute("wait", &json!({})).expect_status(202));
    let mut events = api.server.listen(&format!("/api/v1/executions/{run}/events"), &api.key, "");
    events.events_until("state");
    let said = api.server.stop_and_read();
    assert!(!said.contains("were cut off"), "it waited for whoever reads along: {said}");
}

#[test]
fn many_who_ask_at_once_under_one_key_begin_one_run() {
    let api = RunsApi::of(&place());
    let body = json!({ "workflow_id": "book", "input_data": { "day": "monday" } });
    let ask = || id(&api.post("/workflows/execute", "Idempotency-Key: k\r\n", &body).expect_status(200));
    let ids: Vec<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|one| one.join().expect("is answered")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(api.get("/executions").expect_status(200)["executions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_run_that_waits_for_somebody_is_a_202_with_its_address_and_goes_on_when_it_is_answered() {
    let place = place();
    let api = RunsApi::of(&place);
    let answer = api.execute("ask", &json!({}));
    let address = answer.header("location").expect("an address").to_owned();
    let waits = answer.expect_status(202);
    assert_eq!((&waits["status"], &waits["waits_for"][0]["node"]), (&json!("waiting"), &json!("agree")), "{waits}");
    let run = id(&waits);
    assert_eq!(address, format!("/api/v1/executions/{run}"));
    let wrong = api.post(&format!("/executions/{run}/answer"), "", &json!({ "to": "agree" })).expect_status(422);
    assert_eq!(wrong["code"], "BODY_INVALID");
    let none = api.post(&format!("/executions/{run}/answer"), "", &json!({ "to": "nobody", "approve": true }));
    let none = none.expect_status(409);
    assert_eq!((&none["code"], &none["execution_id"]), (&json!("RUN-005"), &json!(run)));
    let yes = json!({ "to": "agree", "approve": true });
    let own = api.post(&format!("/executions/{run}/answer"), "", &yes).expect_status(403);
    assert!(own["detail"].as_str().is_some_and(|detail| detail.contains("asked for themselves")), "{own}");
    let olga = api.key_of(&place, "olga", "human_agent");
    let path = format!("POST /api/v1/executions/{run}/answer");
    let done = api.server.ask(&path, &olga, "Idempotency-Key: yes\r\n", &yes);
    assert_eq!(done.expect_status(200)["status"], "completed");
    let again = api.server.ask(&path, &olga, "Idempotency-Key: yes\r\n", &yes);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect_status(200)["status"], "completed");
    let other = api.server.ask(&path, &olga, "Idempotency-Key: yes\r\n", &json!({ "to": "agree", "approve": false }));
    assert_eq!(other.expect_status(422)["code"], "IDEMPOTENCY_KEY_REUSED");
    let late = api.post(&format!("/executions/{run}/pause"), "", &Value::Null).expect_status(409);
    assert_eq!(late["code"], "RUN-003");
}

#[test]
fn a_signal_given_twice_under_one_key_is_taken_once() {
    let api = RunsApi::of(&place());
    let run = id(&api.execute("wait", &json!({})).expect_status(202));
    let body = json!({ "name": "arrived", "payload": { "box": 7 } });
    let path = format!("/executions/{run}/signal");
    let done = api.post(&path, "Idempotency-Key: s1\r\n", &body).expect_status(200);
    assert_eq!(done["outputs"]["parcel"]["box"], 7, "{done}");
    assert_eq!(api.post(&path, "Idempotency-Key: s1\r\n", &body).expect_status(200)["status"], "completed");
}

#[test]
fn what_a_run_did_is_undone_on_request() {
    let api = RunsApi::of(&place());
    let run = id(&api.execute("book", &json!({ "day": "monday" })).expect_status(200));
    let undone = api.post(&format!("/executions/{run}/compensate"), "", &json!({})).expect_status(200);
    assert_eq!((&undone["state"], &undone["compensated"]), (&json!("compensated"), &json!(true)), "{undone}");
}

#[test]
fn a_call_needs_leave_of_who_may_give_it() {
    let place = place();
    let api = RunsApi::of(&place);
    let run = id(&api.execute("pay", &json!({})).expect_status(202));
    let open = api.get(&format!("/executions/{run}")).expect_status(200);
    let effect = open["waits_for"][0]["effect"].as_str().expect("a call").to_owned();
    let leave = json!({ "to": effect, "approve": true });
    let path = format!("/executions/{run}/answer");
    for _ in 0..2 {
        let refused = api.post(&path, "Idempotency-Key: mine\r\n", &leave).expect_status(403);
        assert_eq!(
            (&refused["code"], &refused["execution_id"]),
            (&json!("RUN-015"), &json!(run)),
            "the same each time"
        );
    }
    let olga = api.key_of(&place, "olga", "human_agent");
    let done = api.server.ask(&format!("POST /api/v1{path}"), &olga, "", &leave).expect_status(200);
    assert_eq!(done["outputs"]["pay"]["receipt"], "R-1", "{done}");
    // Her answer is accepted, but she cannot start a run.
    let begun = api.server.ask("POST /api/v1/workflows/execute", &olga, "", &json!({ "workflow_id": "book" }));
    let refused = begun.expect_status(403);
    assert!(refused["hint"].as_str().is_some_and(|hint| hint.contains("service")), "{refused}");
    assert_eq!(api.server.ask("GET /api/v1/me", &olga, "", &Value::Null).expect_status(200)["role"], "human_agent");
}

#[test]
fn what_waits_for_a_yes_is_listed_shown_and_decided_by_its_id() {
    let place = place();
    let api = RunsApi::of(&place);
    let run = id(&api.execute("pay", &json!({})).expect_status(202));
    api.execute("ask", &json!({})).expect_status(202);
    assert_eq!(api.get("/desk").expect_status(200)["items"].as_array().map(Vec::len), Some(2));
    let all = api.get("/approvals").expect_status(200);
    let item = all["items"].as_array().expect("a list").iter().find(|item| item["run"] == run.as_str());
    let item = item.and_then(|item| item["id"].as_str()).expect("an id").replace('/', "%2F").replace('#', "%23");
    let shown = api.get(&format!("/approvals/{item}")).expect_status(200);
    assert_eq!((&shown["tool"], &shown["approved_by"]), (&json!("pay"), &json!([])), "{shown}");
    let listed = all["items"].as_array().expect("a list").iter().find(|item| item["tool"] == "pay").expect("the call");
    let told = (&listed["workflow_id"], &listed["approved_by"], &listed["irreversible"], &listed["effect_class"]);
    assert_eq!(told, (&json!("pay"), &json!([]), &json!("paid"), &json!("keyed")), "{listed}");
    let first = api.get("/desk?limit=1").expect_status(200);
    let cursor = first["next_cursor"].as_str().expect("a cursor").replace('/', "%2F").replace('#', "%23");
    let second = api.get(&format!("/desk?limit=1&cursor={cursor}")).expect_status(200);
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    assert_eq!(second["next_cursor"], Value::Null);
    let olga = api.key_of(&place, "olga", "human_agent");
    let said = json!({ "reason": "too dear" });
    let path = format!("POST /api/v1/approvals/{item}/reject");
    for _ in 0..2 {
        assert_eq!(
            api.server.ask(&path, &olga, "Idempotency-Key: no\r\n", &said).expect_status(200)["status"],
            "failed"
        );
    }
    assert_eq!(api.server.ask(&path, &olga, "", &said).expect_status(404)["code"], "APPROVAL_NOT_FOUND");
}

#[test]
fn the_page_is_served_wherever_nothing_else_stands() {
    let api = RunsApi::of(&TestFolder::empty());
    let get = |path: &str, accept: &str| api.server.ask(&format!("GET {path}"), "", accept, &Value::Null);
    for path in ["/", "/runs", "/runs/some-run", "/index.html"] {
        let page = get(path, "Accept: text/html,application/xhtml+xml\r\n");
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("script-src 'self'")));
    }
    for path in ["/api/v1/none", "/v1/none", "/assets/none.js"] {
        assert_eq!(get(path, "Accept: text/html\r\n").status, 404, "{path}");
    }
    assert_eq!(get("/none", "").status, 404);
}

#[test]
fn whoever_does_not_want_to_wait_is_answered_at_once_and_what_was_accepted_goes_on() {
    let api = RunsApi::of(&place());
    let body = json!({ "workflow_id": "book", "input_data": { "day": "monday" } });
    let answer = api.post("/workflows/execute", "Prefer: respond-async\r\n", &body);
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    let run = id(&answer.expect_status(202));
    let mut events = api.server.listen(&format!("/api/v1/executions/{run}/events"), &api.key, "");
    assert_eq!(events.last_state()["status"], "completed");
    assert_eq!(api.get(&format!("/executions/{run}")).expect_status(200)["status"], "completed");
}

#[test]
fn a_run_is_told_as_it_goes_and_whoever_comes_back_is_told_what_came_after() {
    let api = RunsApi::of(&place());
    let run = id(&api.execute("wait", &json!({})).expect_status(202));
    let path = format!("/api/v1/executions/{run}/events");
    let mut events = api.server.listen(&path, &api.key, "");
    let first = events.events_until("state");
    assert!(!first.is_empty() && first.iter().all(|event| event.id.is_some()), "{first:?}");
    api.post(&format!("/executions/{run}/signal"), "", &json!({ "name": "arrived" })).expect_status(200);
    assert_eq!(events.last_state()["status"], "completed");
    let last = first.last().and_then(|event| event.id).expect("an id");
    let mut again = api.server.listen(&path, &api.key, &format!("Last-Event-ID: {last}\r\n"));
    let rest = again.events_until("state");
    assert_eq!(rest.first().and_then(|event| event.id), Some(last + 1));
    let journal = api.get(&format!("/executions/{run}/journal?after={last}")).expect_status(200);
    assert_eq!(journal["entries"].as_array().map(Vec::len), Some(rest.len()));
}

#[test]
fn what_a_model_says_is_told_part_by_part_to_whoever_follows_and_recorded_whole() {
    let place = TestFolder::with(&[
        ("agents/teller.yaml", "name: teller\ntype: simple\nprompt: Tell.\n"),
        ("replies/teller.yaml", "agent: teller\nreplies: [{content: Once upon a time, latency_ms: 200}]\n"),
        (
            "workflows/tell.yaml",
            "name: tell\nnodes: [{id: go, type: wait, signal: go}, {id: tell, agent: teller}]\nedges: [{from: go, to: tell}]\n",
        ),
    ]);
    let api = RunsApi::of(&place);
    let run = id(&api.execute("tell", &json!({})).expect_status(202));
    let path = format!("/api/v1/executions/{run}/events");
    let mut events = api.server.listen(&path, &api.key, "");
    events.events_until("state");
    api.post(&format!("/executions/{run}/signal"), "", &json!({ "name": "go" })).expect_status(200);
    let told: Vec<StreamedEvent> = std::iter::from_fn(|| events.next()).collect();
    let said: Vec<&StreamedEvent> = told.iter().filter(|event| event.kind == "model").collect();
    let words: Vec<&str> = said.iter().filter_map(|event| event.data["text"].as_str()).collect();
    assert_eq!(words, ["Once ", "upon ", "a ", "time"], "{told:?}");
    assert!(said.iter().all(|event| event.id.is_none() && event.data["effect"]["node"] == "tell"), "{said:?}");
    let recorded = told.iter().position(|event| event.kind == "entry" && event.data.to_string().contains("upon"));
    let last_said = told.iter().rposition(|event| event.kind == "model");
    assert!(recorded > last_said, "{told:?}");
    // A later subscriber gets the recorded entries and no partial replies.
    let later = api.server.listen(&path, &api.key, "").events_until("state");
    assert!(later.iter().all(|event| event.kind == "entry"), "{later:?}");
}

#[test]
fn pages_follow_one_another_by_their_cursor() {
    let api = RunsApi::of(&place());
    let begun: Vec<String> =
        (0..5).map(|_| id(&api.execute("book", &json!({ "day": "monday" })).expect_status(200))).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/executions?limit=2{cursor}")).expect_status(200);
        seen.extend(page["executions"].as_array().expect("a list").iter().map(id));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, begun.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn what_is_wrong_with_a_request_is_told_by_name() {
    let api = RunsApi::of(&place());
    for (answer, status, code, says) in [
        (api.execute("bok", &json!({})), 404, "WORKFLOW_NOT_FOUND", "did you mean `book`?"),
        (api.execute("book", &json!({ "day": 7 })), 422, "INPUT_INVALID", "day"),
        (api.post("/workflows/execute", "", &json!({})), 422, "BODY_INVALID", "workflow_id"),
        (
            api.post("/workflows/execute", "", &json!({ "workflow_id": "x", "inputs": 1 })),
            422,
            "BODY_INVALID",
            "inputs",
        ),
        (api.post("/workflows/execute", "Prefer: wait=999\r\n", &json!({})), 400, "PARAMETER_INVALID", "120"),
        (api.get("/executions/none"), 404, "EXECUTION_NOT_FOUND", "none"),
        (api.get("/executions?state=gone"), 400, "PARAMETER_INVALID", "completed"),
        (api.get("/executions?limit=501"), 400, "PARAMETER_INVALID", "500"),
        (api.get("/executions?cusor=x"), 400, "PARAMETER_INVALID", "cusor"),
        (api.get("/workflows/none"), 404, "WORKFLOW_NOT_FOUND", "none"),
        (api.get("/nothing"), 404, "NOT_FOUND", "path"),
        (api.get("/executions/%FF"), 400, "PARAMETER_INVALID", "path"),
        (api.get("/workflows/book/versions/one/diff/2"), 400, "PARAMETER_INVALID", "one"),
        (api.post("/executions/x/signal", "", &json!({ "mesage": "x" })), 422, "BODY_INVALID", "mesage"),
        (api.post("/executions/x/signal", "", &json!({})), 422, "BODY_INVALID", "`name`"),
    ] {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let body = answer.expect_status(status);
        assert_eq!(body["code"], code, "{body}");
        assert!(body.to_string().contains(says), "{body}");
    }
    let wrong = api.server.ask("GET /api/v1/executions", "baton_wrong", "", &Value::Null).expect_status(401);
    assert_eq!(wrong["code"], "UNAUTHORIZED");
    assert_eq!(api.server.ask("DELETE /api/v1/executions", &api.key, "", &Value::Null).status, 405);
}

#[test]
fn a_tenants_runs_and_workflows_are_nobody_elses() {
    let place = place();
    let api = RunsApi::of(&place);
    let run = id(&api.execute("ask", &json!({})).expect_status(202));
    api.server.stop();
    place.write("baton.toml", format!("tenant = \"other\"\n{SETTINGS}"));
    let key = place.baton(&["keys", "create", "theirs", "--role", "admin", "--json"]).expect_code(0).json();
    let key = key["key"].as_str().expect("a secret").to_owned();
    let server = BatonServer::start(&place);
    let ask = |request: &str, body: &Value| server.ask(request, &key, "", body);
    let document = ask("GET /api/v1/openapi.json", &Value::Null).expect_status(200);
    let paths = document["paths"].as_object().expect("paths");
    let mut walked = 0;
    for (path, operations) in paths.iter().filter(|(path, _)| path.contains("{execution_id}")) {
        for method in operations.as_object().expect("operations").keys() {
            let path = path.replace("{execution_id}", &run);
            let body = match path.rsplit('/').next() {
                Some("answer") => json!({ "to": "agree", "approve": true }),
                Some("resolve") => json!({ "effect": "pay#0.0", "became": "not_done" }),
                Some("signal") => json!({ "name": "x" }),
                Some("fork") => json!({ "node_id": "agree" }),
                _ => json!({}),
            };
            let answer = ask(&format!("{} {path}", method.to_uppercase()), &body);
            assert_eq!(answer.body["code"], "EXECUTION_NOT_FOUND", "{method} {path}: {answer:?}");
            walked += 1;
        }
    }
    assert!(walked >= 13, "{walked}");
    assert_eq!(ask("GET /api/v1/executions", &Value::Null).expect_status(200)["executions"], json!([]));
}

#[test]
fn the_document_describes_each_path_and_what_is_answered_is_as_it_says() {
    let api = RunsApi::of(&place());
    let document = api.get("/openapi.json").expect_status(200);
    assert_eq!(document["openapi"], "3.1.0");
    let done = api.execute("book", &json!({ "day": "monday" })).expect_status(200);
    let run = id(&done);
    api.execute("ask", &json!({})).expect_status(202);
    for (answered, schema) in [
        (done, "Execution"),
        (api.get(&format!("/executions/{run}")).expect_status(200), "Execution"),
        (api.get("/executions").expect_status(200), "Executions"),
        (api.get(&format!("/executions/{run}/timeline")).expect_status(200), "Timeline"),
        (api.get(&format!("/executions/{run}/summary")).expect_status(200), "Summary"),
        (api.get(&format!("/executions/{run}/journal")).expect_status(200), "Journal"),
        (api.get(&format!("/executions/{run}/graph")).expect_status(200), "Graph"),
        (api.get("/workflows").expect_status(200), "Workflows"),
        (api.get("/workflows/book").expect_status(200), "Workflow"),
        (api.get("/workflows/book/versions").expect_status(200), "Versions"),
        (api.get("/me").expect_status(200), "Me"),
        (api.get("/desk").expect_status(200), "Desk"),
        (api.get("/workflows/none").expect_status(404), "Problem"),
        (api.post("/workflows/validate", "", &json!({ "name": "x" })).expect_status(200), "Validated"),
        (api.post("/workflows", "", &json!({ "name": "x" })).expect_status(422), "Problem"),
        (
            api.post("/workflows", "", &json!({ "name": "x", "nodes": [{ "id": "a", "tool": "pay" }] }))
                .expect_status(201),
            "Kept",
        ),
        (api.get("/workflows/book/traffic").expect_status(200), "Traffic"),
        (api.get("/workflows/book/versions/1/diff/1").expect_status(200), "Differences"),
        (api.get("/workflows/templates").expect_status(200), "Templates"),
        (api.get("/agents").expect_status(200), "Agents"),
        (api.get("/agents/reasoning_agent").expect_status(200), "Agent"),
        (api.get(&format!("/executions/{run}/costs")).expect_status(200), "ExecutionCosts"),
    ] {
        let whole = json!({ "$ref": format!("#/components/schemas/{schema}"), "components": document["components"] });
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let faults: Vec<String> = validator.iter_errors(&answered).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{schema}: {faults:?}\n{answered}");
    }
}

#[test]
fn what_is_refused_leaves_the_journal_as_it_is() {
    let place = place();
    let api = RunsApi::of(&place);
    let run = id(&api.execute("ask", &json!({})).expect_status(202));
    let entries =
        |run: &str| api.get(&format!("/executions/{run}")).expect_status(200)["entries"].as_u64().expect("a number");
    let before = entries(&run);
    let act = |what: &str, body: Value| api.post(&format!("/executions/{run}/{what}"), "", &body);
    for code in [
        act("answer", json!({ "to": "nobody", "approve": true })),
        act("retry", json!({})),
        act("resume", json!({})),
        act("resolve", json!({ "effect": "pay#0.0", "became": "not_done" })),
    ] {
        assert!((400..500).contains(&code.status), "{code:?}");
    }
    let journal = || api.get(&format!("/executions/{run}/journal?limit=500")).expect_status(200);
    let is_empty = |entry: &Value| entry["events"].as_array().is_some_and(Vec::is_empty);
    assert!(!journal()["entries"].as_array().expect("entries").iter().any(is_empty), "{}", journal());
    assert_eq!(entries(&run), before);
    // The next accepted request gets the next number.
    let olga = api.key_of(&place, "olga", "human_agent");
    let path = format!("POST /api/v1/executions/{run}/answer");
    let yes = || api.server.ask(&path, &olga, "", &json!({ "to": "agree", "approve": true }));
    yes().expect_status(200);
    assert!(entries(&run) > before);
    yes().expect_status(409);
    assert!(!journal()["entries"].as_array().expect("entries").iter().any(is_empty), "{}", journal());
}

#[test]
fn a_call_that_fails_is_a_failed_run_and_its_envelope_is_as_it_was() {
    let place = place();
    let api = RunsApi::of(&place);
    let told =
        api.post("/tools/calculator/execute", "", &json!({ "arguments": { "expression": 7 } })).expect_status(200);
    assert_eq!((&told["success"], &told["error_code"]), (&json!(false), &json!("INVALID_PARAMETERS")), "{told}");
    assert!(told["error_details"].as_str().expect("words").contains("expression"), "{told}");
    let run = id(&told);
    let failed = api.get("/executions?state=failed").expect_status(200)["executions"][0].clone();
    assert_eq!((&failed["execution_id"], &failed["status"]), (&json!(run), &json!("failed")), "{failed}");
    assert!(failed["error"].as_str().expect("why").starts_with("INVALID_PARAMETERS"), "{failed}");
    let shown = api.get(&format!("/executions/{run}")).expect_status(200);
    assert_eq!(shown["state"], "failed", "{shown}");
    let good = api
        .post("/tools/calculator/execute", "", &json!({ "arguments": { "expression": "6 * 7" } }))
        .expect_status(200);
    assert_eq!((&good["success"], &good["state"]), (&json!(true), &json!("completed")));
}
