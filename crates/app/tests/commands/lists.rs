//! Lists of the API: which cursors they accept, the filters of executions, and the links of problems.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - {name: book, kind: script, class: keyed, results: [{output: {id: B-1}}]}
  - {name: fail, kind: script, class: keyed, results: [{fault: {code: SLOT_GONE, message: the slot is gone}}]}
";

struct ListsApi {
    server: BatonServer,
    key: String,
}

impl ListsApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key }
    }

    fn get(&self, path: &str) -> ApiAnswer {
        self.server.ask(&format!("GET {path}"), &self.key, "", &Value::Null)
    }

    fn execute(&self, workflow: &str, user: &str) -> String {
        let body = json!({ "workflow_id": workflow, "context": { "user_id": user } });
        let answer = self.server.ask("POST /api/v1/workflows/execute", &self.key, "", &body);
        answer.expect_status(200)["execution_id"].as_str().expect("an id").to_owned()
    }

    /// The executions that match these filters, from all pages.
    fn found(&self, filters: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/v1/executions?{filters}{cursor}")).expect_status(200);
            let ids = page["executions"].as_array().expect("a list").iter().map(|head| head["execution_id"].clone());
            found.extend(ids.map(|id| id.as_str().expect("an id").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

fn place() -> TestFolder {
    TestFolder::with(&[
        ("tools/tools.yaml", TOOLS),
        ("workflows/book.yaml", "name: book\nnodes: [{id: book, tool: book}]\n"),
        ("workflows/fails.yaml", "name: fails\nnodes: [{id: fail, tool: fail}]\n"),
    ])
}

#[test]
fn a_cursor_that_no_page_gave_is_refused_on_every_list() {
    let api = ListsApi::of(&place());
    let run = api.execute("book", "ana");
    let mut looked_at = 0;
    let document = api.get("/api/v1/openapi.json").expect_status(200);
    for (path, item) in document["paths"].as_object().expect("paths") {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        if !parameters.iter().any(|parameter| parameter["name"] == "cursor") {
            continue;
        }
        looked_at += 1;
        for cursor in ["rubbish", &run] {
            let refused = api.get(&format!("{path}?cursor={cursor}")).expect_status(400);
            assert_eq!(refused["code"], "PARAMETER_INVALID", "{path}: {refused}");
        }
    }
    assert!(looked_at >= 8, "{looked_at}");
    // A cursor of one list is not valid for another.
    let other = api.execute("book", "ben");
    let page = api.get("/api/v1/executions?limit=1").expect_status(200);
    assert_eq!(page["executions"][0]["execution_id"], other.as_str());
    let next = page["next_cursor"].as_str().expect("a next page");
    assert_eq!(
        api.get(&format!("/api/v1/executions?cursor={next}")).expect_status(200)["executions"][0]["execution_id"],
        run.as_str()
    );
    assert_eq!(api.get(&format!("/api/v1/tools?cursor={next}")).status, 400);
}

#[test]
fn executions_are_found_by_customer_time_states_error_version_and_words() {
    let place = place();
    let api = ListsApi::of(&place);
    let ana = api.execute("book", "ana");
    let ben = api.execute("book", "ben");
    let failed = api.execute("fails", "ana");
    place.write("workflows/book.yaml", "name: book\nversion: v2\nnodes: [{id: again, tool: book}]\n");
    wait_for("the second version is active", || {
        (api.get("/api/v1/workflows/book").expect_status(200)["revision"] == 2).then_some(())
    });
    let second = api.execute("book", "ben");
    assert_eq!(api.found("limit=1"), [&*second, &failed, &ben, &ana]);
    assert_eq!(api.found("customer_id=ana"), [&*failed, &ana]);
    assert_eq!(api.found("customer_id=ana&workflow_id=book"), [&*ana]);
    assert_eq!(api.found("state=failed,compensated"), [&*failed]);
    assert_eq!(api.found("error_code=SLOT_GONE"), [&*failed]);
    assert_eq!(api.found("workflow_id=book&version=1"), [&*ben, &ana]);
    assert_eq!(api.found("workflow_id=book&version=v2"), [&*second]);
    assert_eq!(api.found("workflow_id=book&version=v3"), [""; 0]);
    assert_eq!(api.found("text=SLOT%20is%20gone"), [&*failed]);
    assert_eq!(api.found(&format!("text={ana}")), [&*ana]);
    // Two of them may have been created in the same millisecond.
    let created = |run: &String| {
        let head = api.get(&format!("/api/v1/executions/{run}")).expect_status(200);
        head["created_at"].as_str().expect("a time").to_owned()
    };
    let instant = |text: &str| text.parse::<jiff::Timestamp>().expect("an instant");
    let at = created(&failed);
    let all = [&second, &failed, &ben, &ana].map(|run| (run.clone(), instant(&created(run))));
    let (from, to): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, begun)| *begun >= instant(&at));
    let runs = |some: Vec<(String, jiff::Timestamp)>| some.into_iter().map(|(run, _)| run).collect::<Vec<_>>();
    assert_eq!(api.found(&format!("from={at}")), runs(from));
    assert_eq!(api.found(&format!("to={at}&limit=1")), runs(to));
    for wrong in ["version=1", "state=faild", "state=failed,", "from=yesterday", "text="] {
        let answer = api.get(&format!("/api/v1/executions?{wrong}"));
        if wrong == "text=" {
            assert_eq!(answer.status, 200);
            continue;
        }
        assert_eq!(answer.expect_status(400)["code"], "PARAMETER_INVALID", "{wrong}");
    }
}

#[test]
fn a_problem_leads_to_the_page_of_its_code() {
    let api = ListsApi::of(&place());
    let problem = api.get("/api/v1/executions/none").expect_status(404);
    let page = problem["type"].as_str().expect("a type");
    assert_eq!(page, "/docs/errors/EXECUTION_NOT_FOUND");
    // Needs no key: a caller whose request was rejected may read the reason.
    let read = api.server.get(page, None);
    assert!(read.starts_with("HTTP/1.1 200") && read.contains("text/markdown"), "{read}");
    assert!(read.contains("# EXECUTION_NOT_FOUND") && read.contains("What to do"), "{read}");
    assert!(api.server.get("/docs/errors", None).contains("PARAMETER_INVALID"));
    let browser = api.server.send(&format!("GET {page}"), "Accept: text/html\r\n", "");
    assert!(browser.contains("text/plain"), "{browser}");
    assert_eq!(api.get("/docs/errors/NO_SUCH").expect_status(404)["code"], "NOT_FOUND");
    // An error code that a project defines has no page.
    let body = json!({ "model": "none" });
    let openai = api.server.ask("POST /v1/embeddings", &api.key, "", &body).expect_status(400);
    assert_eq!(openai["error"]["type"], "invalid_request_error", "{openai}");
}

#[test]
fn the_paths_of_the_seeds_answer_without_the_prefix_and_to_no_one_else() {
    let place = place();
    let api = ListsApi::of(&place);
    let body = json!({ "workflow_id": "book" });
    let done = api.server.ask("POST /workflows/execute", &api.key, "", &body).expect_status(200);
    assert_eq!(done["status"], "completed");
    let begun = json!({ "workflow_id": "book", "message": "Hi" });
    let talk = api.server.ask("POST /api/v1/conversations", &api.key, "", &begun).expect_status(200);
    let talk = talk["conversation_id"].as_str().expect("an id");
    let shown = api.get(&format!("/conversations/{talk}")).expect_status(200);
    assert_eq!(shown["conversation_id"], talk);
    assert_eq!(api.get("/composio/apps").expect_status(200)["apps"], json!([]));
    assert_eq!(api.get("/composio/connections").expect_status(200)["connections"], json!([]));
    // Composio is not configured here, so the responses are the same as with the prefix.
    for path in ["/composio/connect/gmail", "/composio/refresh"] {
        let short = api.server.ask(&format!("POST {path}"), &api.key, "", &json!({}));
        let long = api.server.ask(&format!("POST /api/v1{path}"), &api.key, "", &json!({}));
        assert_eq!((short.status, &short.body["code"]), (long.status, &long.body["code"]), "{path}");
    }
    let looks = place.baton(&["keys", "create", "person", "--role", "human_agent", "--json"]).expect_code(0).json();
    let looks = looks["key"].as_str().expect("a secret");
    for (request, allowed) in [
        ("POST /workflows/execute", false),
        (&*format!("GET /conversations/{talk}"), true),
        ("GET /composio/apps", true),
        ("GET /composio/actions", true),
        ("GET /composio/actions/search?query=x", true),
        ("GET /composio/connections", true),
        ("POST /composio/connect/gmail", false),
        ("DELETE /composio/connections/gmail", false),
        ("POST /composio/refresh", false),
    ] {
        let refused = api.server.ask(request, "baton_wrong", "", &json!({}));
        assert_eq!(refused.expect_status(401)["code"], "UNAUTHORIZED", "{request}");
        let answer = api.server.ask(request, looks, "", &json!({}));
        assert_eq!(answer.status == 403, !allowed, "{request}: {} {}", answer.head, answer.body);
    }
}
