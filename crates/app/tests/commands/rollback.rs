//! End-to-end tests of compensation: whatever the shape of the work, a service's state is afterwards as it was before.

use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::inventory_service::{self, InventoryService};
use super::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - name: take_item
    kind: http
    url: URL/take
    idempotency_header: Idempotency-Key
    compensation: {tool_name: put_back, parameters: {id: '{{ output.id }}'}}
    output_fields: [id]
    parameters: {type: object, properties: {what: {type: string}}}
  - name: put_back
    kind: http
    url: URL/put
    idempotency_header: Idempotency-Key
    irreversible: take it again
    body: {id: '{{ arguments.id }}'}
    parameters: {type: object, required: [id], properties: {id: {type: string}}}
  - {name: never, kind: http, url: URL/never, idempotency_header: Idempotency-Key, irreversible: it is never done}
";
const BRANCHES: &str = "
  - id: work
    type: parallel
    branches:
      left:
        nodes: [{id: one, tool: take_item}, {id: two, tool: take_item}]
        edges: [{from: one, to: two}]
      right: {nodes: [{id: three, tool: take_item}]}";
const LOOP: &str = "
  - id: work
    for_each: [a, b, c, d]
    concurrency: 2
    body: {nodes: [{id: take, tool: take_item, parameters: {what: '{{ item }}'}}]}";
const AGENT: &str = "
  - {id: work, agent: clerk, task: take two}";
const CHILD: &str = "
  - {id: work, workflow: inner}";
const INNER: &str =
    "name: inner\nnodes: [{id: a, tool: take_item}, {id: b, tool: take_item}]\nedges: [{from: a, to: b}]\n";
const CLERK: &str = "{name: clerk, type: reasoning, tools: [take_item]}";
const REPLIES: &str = "\
replies:
  - agent: clerk
    turns:
      - tool_calls: [{name: take_item, arguments: {what: hat}}, {name: take_item, arguments: {what: coat}}]
      - tool_calls: [{name: take_item, arguments: {what: shoe}}]
      - content: done
";

fn place(shelf: &InventoryService, work: &str, last: &str) -> TestFolder {
    let workflow =
        format!("name: work\nnodes:{work}\n  - {{id: final_step, {last}}}\nedges: [{{from: work, to: final_step}}]\n");
    TestFolder::with(&[
        ("tools/tools.yaml", &TOOLS.replace("URL", &shelf.url())),
        ("workflows/work.yaml", &workflow),
        ("workflows/inner.yaml", INNER),
        ("agents/clerk.yaml", CLERK),
        ("replies/clerk.yaml", REPLIES),
    ])
}

/// One run fails right after the work, and another is rolled back after it completed. In both `takes` items were taken,
/// and all are back.
#[track_caller]
fn all_is_back(work: &str, takes: usize) {
    let folder = TestFolder::empty();
    let shelf = InventoryService::open(folder.path());
    place(&shelf, work, "tool: never")
        .baton(&["run", "work", "--id", "fails"])
        .expect_code(1)
        .expect_stdout("compensated");
    assert_eq!((shelf.log().keys("took").len(), shelf.log().taken_items().len()), (takes, 0));

    let place = place(&shelf, work, "type: end");
    place.baton(&["run", "work", "--id", "whole"]).expect_code(0);
    assert_eq!(shelf.log().taken_items().len(), takes, "nothing is undone of its own accord");
    place.baton(&["runs", "rollback", "whole"]).expect_code(0).expect_stdout("compensated");
    let book = shelf.log();
    assert_eq!((book.keys("took").len(), book.taken_items().len()), (2 * takes, 0));
    assert_eq!(book.keys("put").len(), 2 * takes, "each once");
}

#[test]
fn what_parallel_branches_did_is_undone() {
    all_is_back(BRANCHES, 3);
}

#[test]
fn what_a_loop_did_is_undone() {
    all_is_back(LOOP, 4);
}

#[test]
fn what_an_agent_did_by_itself_is_undone() {
    all_is_back(AGENT, 3);
}

#[test]
fn what_a_workflow_inside_did_is_undone() {
    all_is_back(CHILD, 2);
}

#[test]
fn what_was_done_last_is_undone_first() {
    let folder = TestFolder::empty();
    let shelf = InventoryService::open(folder.path());
    let three =
        "\n  - {id: work, tool: take_item}\n  - {id: then, tool: take_item}\n  - {id: at_last, tool: take_item}";
    let place = place(&shelf, three, "tool: never");
    let edges = "[{from: work, to: then}, {from: then, to: at_last}, {from: at_last, to: final_step}]";
    let text = std::fs::read_to_string(place.path().join("workflows/work.yaml")).expect("the workflow");
    place.write("workflows/work.yaml", text.replace("[{from: work, to: final_step}]", edges));
    place.baton(&["run", "work", "--id", "one"]).expect_code(1).expect_stdout("compensated");
    let book = shelf.log();
    let backwards: Vec<&str> = book.keys("took").into_iter().rev().collect();
    assert_eq!(book.keys("put"), backwards);
}

const TWO: &str = "
  - id: work
    for_each: [a, b]
    body: {nodes: [{id: take, tool: take_item}]}";

/// A rollback meets a service that is down, and is retried once the service is back.
#[track_caller]
fn is_undone_once_the_service_is_back(work: &str) {
    let folder = TestFolder::empty();
    let shelf = InventoryService::open(folder.path());
    let place = place(&shelf, work, "type: end");
    let once =
        TOOLS.replace("irreversible: take it again", "irreversible: take it again\n    retry: {max_attempts: 1}");
    place.write("tools/tools.yaml", once.replace("URL", &shelf.url()));
    place.baton(&["run", "work", "--id", "whole"]).expect_code(0);
    assert_eq!(shelf.log().taken_items().len(), 2);
    let down = shelf.stop_service();
    let rollback = || place.baton(&["runs", "rollback", "whole"]);
    let left = || {
        let listed = place.baton(&["desk", "list", "--json"]).expect_code(0).json();
        let items = listed.as_array().expect("a list").iter();
        items
            .filter(|item| item["kind"] == "not_undone")
            .map(|item| item["id"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    rollback().expect_code(1).expect_stdout("NOT_UNDONE");
    let first = left();
    rollback().expect_code(1).expect_stdout("NOT_UNDONE");
    let second = left();
    assert_eq!((first.len(), second.len()), (2, 2), "{first:?} {second:?}");
    assert!(second.iter().all(|item| !first.contains(item)), "each attempt has a key of its own: {second:?}");

    let shelf = down.restart();
    place.baton(&["desk", "resolve", &second[0], "--again", "--as", "olga"]).expect_code(1).expect_stdout("failed");
    assert_eq!((left().len(), shelf.log().keys("put").len()), (1, 1), "only this one");
    place.baton(&["audit", "list", "--json"]).expect_code(0).expect_stdout("undo_again").expect_stdout("olga");
    rollback().expect_code(0).expect_stdout("compensated");
    let book = shelf.log();
    assert_eq!((book.taken_items().len(), book.keys("put").len(), left()), (0, 2, Vec::new()), "each once");
    rollback()
        .expect_code(1)
        .expect_stderr("refused[RUN-004]: the run is compensated, so there is nothing to roll back");
}

#[test]
fn a_rollback_that_met_an_outage_is_tried_again() {
    is_undone_once_the_service_is_back(TWO);
}

#[test]
fn a_rollback_of_a_workflow_inside_that_met_an_outage_is_tried_again() {
    is_undone_once_the_service_is_back(CHILD);
}

/// A service with contacts and tickets. With `meddles`, a contact is changed again by a third party right after each
/// change.
fn office(meddles: bool) -> (String, Arc<Mutex<Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let kept = Arc::new(Mutex::new(json!({"contacts": {"ana": {"city": "Madrid", "vip": true}}, "tickets": {}})));
    let ours = kept.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (line, _, body) = inventory_service::request(&stream).expect("a request");
            let mut kept = ours.lock().unwrap_or_else(PoisonError::into_inner);
            let (method, path) = line.split_once(' ').expect("a method and a path");
            let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
            let answer = match (method, &parts[..]) {
                ("POST", ["tickets"]) => {
                    kept["tickets"]["7"] = json!({"id": 7, "status": "open", "subject": body["subject"]});
                    kept["tickets"]["7"].clone()
                }
                ("GET", [all, id]) => kept[*all][*id].clone(),
                ("PATCH", [all, id]) => {
                    let object = kept[*all][*id].as_object_mut().expect("it is there");
                    for (name, value) in body.as_object().expect("fields") {
                        match value {
                            Value::Null => drop(object.remove(name)),
                            value => drop(object.insert(name.clone(), value.clone())),
                        }
                    }
                    if meddles {
                        object.insert("city".to_owned(), json!("Bilbao"));
                    }
                    kept[*all][*id].clone()
                }
                _ => json!({}),
            }
            .to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).ok();
        }
    });
    (url, kept)
}

const OFFICE: &str = "\
name: office
nodes:
  - {id: move_house, tool: update_crm, parameters: {contact_id: ana, fields: {city: Sevilla, vip: null, since: 2025}}}
  - {id: complain, tool: create_ticket, parameters: {subject: call back}}
  - {id: pay, tool: charge_payment, parameters: {amount: 5, method: card}}
  - {id: book, tool: create_booking, parameters: {date: tomorrow, time: '10:00'}}
  - {id: never, tool: charge_payment, parameters: {amount: 5, method: declined}}
edges:
  - {from: move_house, to: complain}
  - {from: complain, to: pay}
  - {from: pay, to: book}
  - {from: book, to: never}
";

fn at_office(url: Option<&str>) -> TestFolder {
    let rest = |kind: &str, url: &str| {
        format!("[tools.{kind}.rest]\nbase_url = \"{url}\"\ntoken = \"t0k3n\"\nidempotency_key = true\n")
    };
    let hours = "[tools.calendar.hours]\n".to_owned()
        + &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
            .map(|day| format!("{day} = [\"09:00-18:00\"]\n"))
            .concat();
    let rest = url.map(|url| rest("crm", url) + &rest("tickets", url)).unwrap_or_default();
    TestFolder::with(&[("baton.toml", &(hours + &rest)), ("workflows/office.yaml", OFFICE)])
}

/// The data in this installation's own tables, except rows that record actions and their compensation.
fn own_world(place: &TestFolder) -> Value {
    let raw = rusqlite::Connection::open(place.path().join(".baton/baton.db")).expect("opens");
    let count = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
    let of = |space: &str, open: &str| {
        count(&format!(
            "SELECT count(*) FROM record WHERE space = '{space}' AND json_extract(value, '$.status') = '{open}'"
        ))
    };
    json!({
        "contacts": count("SELECT count(*) FROM record WHERE space = 'contacts'"),
        "tickets": of("tickets", "open"),
        "bookings": of("calendar", "confirmed"),
        "unpaid": count("SELECT count(*) FROM record WHERE space = 'payments' AND \
                         json_extract(value, '$.amount_minor') > json_extract(value, '$.refunded_minor')"),
    })
}

#[test]
fn a_run_that_fails_after_every_kind_of_act_leaves_the_world_as_it_was() {
    let nothing = json!({"contacts": 0, "tickets": 0, "bookings": 0, "unpaid": 0});
    let place = at_office(None);
    place.baton(&["run", "office", "--id", "own"]).expect_code(1).expect_stdout("compensated");
    assert_eq!(own_world(&place), nothing);

    let (url, kept) = office(false);
    let before = kept.lock().expect("nobody panicked")["contacts"].clone();
    let place = at_office(Some(&url));
    place.baton(&["run", "office", "--id", "outside"]).expect_code(1).expect_stdout("compensated");
    let after = kept.lock().expect("nobody panicked").clone();
    assert_eq!((&after["contacts"], &after["tickets"]["7"]["status"]), (&before, &json!("closed")));
    assert_eq!(own_world(&place), nothing);
}

#[test]
fn what_somebody_changed_since_stays_and_a_person_is_told() {
    let (url, kept) = office(true);
    let place = at_office(Some(&url));
    place.baton(&["run", "office", "--id", "one"]).expect_code(1);
    assert_eq!(kept.lock().expect("nobody panicked")["contacts"]["ana"]["city"], "Bilbao");
    place.baton(&["runs", "show", "one"]).expect_stdout("CONTACT_CHANGED");
}

/// Each shipped tool that acts can be undone or declares why not, and then `validate` warns about a failure after it.
#[test]
fn every_shipped_act_can_be_undone_or_is_warned_of() {
    let place = TestFolder::with(&[(
        "tools/tools.yaml",
        "tools: [{name: never, kind: script, class: keyed, irreversible: no, results: [{output: {}}]}]\n",
    )]);
    let listed = place.baton(&["tools", "list", "--json"]).expect_code(0).json();
    let tools = listed["tools"].as_array().expect("a list");
    let acts = tools.iter().filter(|tool| tool["name"] != "never").flat_map(|tool| {
        let facts = &tool["facts"];
        let actions = facts["actions"].as_object().into_iter().flatten();
        let told_by = facts["told_by"].as_str().unwrap_or("action");
        let actions = actions.map(move |(action, facts)| (tool, facts, Some(format!("{told_by}: {action}"))));
        std::iter::once((tool, facts, None)).chain(actions)
    });
    let irreversible: Vec<_> = acts.filter(|(_, facts, _)| facts["irreversible"].is_string()).collect();
    assert!(irreversible.iter().any(|(tool, ..)| tool["name"] == "send_email"), "{irreversible:?}");
    assert!(irreversible.iter().any(|(_, _, action)| action.as_deref() == Some("method: POST")), "{irreversible:?}");
    for (tool, facts, action) in irreversible {
        let name = tool["name"].as_str().expect("a name");
        let told_by = action.as_ref().and_then(|action| action.split_once(':')).map(|(told_by, _)| told_by);
        let required = facts["parameters"]["required"].as_array().into_iter().flatten();
        let required = required.filter(|key| key.as_str() != told_by);
        let given = required.map(|key| format!("{key}: '{{{{ given }}}}'"));
        let parameters: Vec<String> = given.chain(action.clone()).collect();
        let risky = format!(
            "name: risky\ninput: {{given: }}\nnodes:\n  - {{id: act, tool: {name}, parameters: {{{}}}}}\n  \
             - {{id: next, tool: never, on_error: compensate}}\nedges: [{{from: act, to: next}}]\n",
            parameters.join(", ")
        );
        place.write("workflows/risky.yaml", risky);
        let findings = place.baton(&["validate", "workflows/risky.yaml", "--json"]).json();
        let all: Vec<&Value> = walk(&findings);
        assert!(all.iter().any(|finding| finding["code"] == "DEF-060"), "{name} {action:?}: {findings}");
    }
}

/// Every object that has a code.
fn walk(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(walk).collect(),
        Value::Object(fields) => {
            let inner = fields.values().flat_map(walk);
            if fields.contains_key("code") { inner.chain([value]).collect() } else { inner.collect() }
        }
        _ => Vec::new(),
    }
}
