//! End-to-end tests of the erasure of customers: what is left in the files, what still works, and that an interrupted
//! erasure is finished.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

const SETTINGS: &str = "\
[serve]
requests_per_minute = 0
[tools.tool.send_email]
rate = \"none\"
[tools.tool.google_calendar]
rate = \"none\"
[tools]
zone = \"Europe/Madrid\"
[tools.calendar]
resources = [\"one\", \"two\"]
days_ahead_max = 3650
[tools.calendar.hours]
monday = [\"00:00-24:00\"]
tuesday = [\"00:00-24:00\"]
wednesday = [\"00:00-24:00\"]
thursday = [\"00:00-24:00\"]
friday = [\"00:00-24:00\"]
saturday = [\"00:00-24:00\"]
sunday = [\"00:00-24:00\"]
[tools.calendar.treatments]
visit = { duration_minutes = 30 }
[tools.tool.pay]
approval = true
[tools.outbound]
allow = [\"127.0.0.1\"]
";
const TOOLS: &str = "\
tools:
  - {name: echo, kind: script, class: read, results: [{output: {text: 'you said {{ arguments.text }}'}}]}
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {receipt: R-1}}]}
  - {name: fail, kind: script, class: keyed, results: [{fault: {code: SLOT_GONE, message: 'no slot: {{ arguments.note }}'}}]}
";
/// Everything that the shipped tools store about a person.
const VISIT: &str = "\
name: visit
input: {customer_id: string, name: string, email: string, phone: string, note: string, date: string, time: string}
nodes:
  - {id: contact, tool: update_crm, parameters: {contact_id: '{{ customer_id }}', fields: {name: '{{ name }}', email: '{{ email }}', phone: '{{ phone }}'}}}
  - {id: ticket, tool: create_ticket, parameters: {subject: 'Call {{ name }}', description: '{{ note }}'}}
  - {id: mail, tool: send_email, parameters: {to: ['{{ email }}'], subject: 'For {{ name }}', body: '{{ note }}'}}
  - {id: book, tool: google_calendar, parameters: {action: create_booking, date: '{{ date }}', time: '{{ time }}', treatment: visit, customer: '{{ name }}', phone: '{{ phone }}', email: '{{ email }}'}}
  - {id: say, tool: echo, parameters: {text: '{{ note }}'}}
  - {id: sub, type: subworkflow, workflow: below, input: {note: '{{ note }}'}}
edges:
  - {from: contact, to: ticket}
  - {from: ticket, to: mail}
  - {from: mail, to: book}
  - {from: book, to: say}
  - {from: say, to: sub}
";
const BELOW: &str =
    "name: below\ninput: {note: string}\nnodes: [{id: say, tool: echo, parameters: {text: '{{ input.note }}'}}]\n";
const PAY: &str = "\
name: pay
input: {note: string}
nodes: [{id: pay, tool: pay, parameters: {amount: 250, note: '{{ input.note }}'}}]
";
const ECHO: &str = "name: echo\nnodes: [{id: echo, tool: echo, parameters: {text: '{{ input.message }}'}}]\n";
const WAIT: &str = "name: wait\nnodes: [{id: next, type: wait, signal: message}]\n";
const FAIL: &str =
    "name: fail\ninput: {note: string}\nnodes: [{id: fail, tool: fail, parameters: {note: '{{ input.note }}'}}]\n";
const OVER: &str = "\
name: over
nodes:
  - {id: first, type: transform, set: {done: true}}
  - {id: over, type: sink, action: handover_to_human, config: {reason: angry, required_skills: ['{{ input.message }}']}}
edges: [{from: first, to: over}]
";
const NOTE: &str = "name: note\ninput: {note: string}\nnodes: [{id: note, type: transform, set: {done: true}}]\n";

fn place() -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", SETTINGS),
        ("tools/tools.yaml", TOOLS),
        ("workflows/visit.yaml", VISIT),
        ("workflows/below.yaml", BELOW),
        ("workflows/pay.yaml", PAY),
        ("workflows/echo.yaml", ECHO),
        ("workflows/wait.yaml", WAIT),
        ("workflows/note.yaml", NOTE),
        ("workflows/fail.yaml", FAIL),
        ("workflows/over.yaml", OVER),
    ])
}

/// A customer whose every word contains the same sixteen characters.
struct MarkedCustomer {
    mark: String,
    number: u64,
}

impl MarkedCustomer {
    fn new(number: u64) -> Self {
        Self { mark: format!("{:016x}", (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)), number }
    }

    fn id(&self) -> String {
        format!("{}id", self.mark)
    }

    fn mail(&self) -> String {
        format!("{}@example.com", self.mark)
    }

    fn phone(&self) -> String {
        format!("+34 6{:08}", self.number * 7_919 + 11_111_111)
    }

    /// The common part of their words, without the beginning, which an index may store separately.
    fn needles(&self) -> [String; 2] {
        [self.mark[4..].to_owned(), self.phone()[5..].to_owned()]
    }
}

/// A server with its admin key.
struct ErasureApi {
    server: BatonServer,
    key: String,
}

impl ErasureApi {
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

    fn run(&self, workflow: &str, headers: &str, input: Value, of: &MarkedCustomer) -> (u16, Value) {
        let body = json!({ "workflow_id": workflow, "input_data": input, "context": { "user_id": of.id() } });
        let answer = self.post("/workflows/execute", headers, &body);
        assert!(matches!(answer.status, 200 | 202), "{}", answer.body);
        (answer.status, answer.body)
    }

    /// Creates everything that a customer can leave behind. Returns a run and a conversation.
    fn fill(&self, of: &MarkedCustomer) -> (String, String) {
        let mark = &of.mark;
        let (id, mail, phone) = (of.id(), of.mail(), of.phone());
        let minutes = of.number * 30;
        let (day, minutes) = (minutes / 1_440, minutes % 1_440);
        let visit = json!({
            "customer_id": id, "name": format!("{mark}nm"), "email": mail, "phone": phone, "note": format!("{mark}tx is unwell"),
            "date": format!("2031-03-{:02}", 3 + day), "time": format!("{:02}:{:02}", minutes / 60, minutes % 60),
        });
        let once = format!("Idempotency-Key: visit-{mark}\r\n");
        let (_, run) = self.run("visit", &once, visit, of);
        assert_eq!(run["state"], "completed", "{run}");
        let paid = self.run("pay", "", json!({ "note": format!("{mark}pay") }), of);
        assert_eq!(paid.0, 202, "it waits for a yes");
        let begun = json!({
            "workflow_id": "echo", "user_id": id, "context": { "email": mail },
            "message": format!("I am {mark}nm, {mail}, {phone}"),
        });
        let talk = self.post("/conversations", "", &begun).expect_status(200);
        let talk = talk["conversation_id"].as_str().expect("an id").to_owned();
        let again = json!({ "text": format!("{mark}say again"), "message_id": format!("{mark}msg") });
        self.post(&format!("/conversations/{talk}/messages"), "", &again).expect_status(200);
        let about = json!({ "name": format!("{mark}.md"), "text": format!("Likes {mark}doc.\n\nAnd {mark}more."), "about": id });
        self.post("/knowledge/documents", "", &about).expect_status(200);
        let schedule = json!({
            "name": format!("yearly-{}", of.number), "workflow_id": "note", "cron": "0 3 1 1 *", "input_data": { "note": mail },
        });
        self.post("/schedules", "", &schedule).expect_status(201);
        (run["execution_id"].as_str().expect("an id").to_owned(), talk)
    }

    fn erase(&self, of: &MarkedCustomer) -> Value {
        let name = format!("{}nm", of.mark);
        self.post(
            &format!("/customers/{}/erase?end_runs=true", of.id()),
            "",
            &json!({ "also": [of.mail(), of.phone(), name] }),
        )
        .expect_status(200)
    }
}

/// All files of the project's data, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
    all
}

/// The places that contain a customer's words, in upper or lower case.
fn found(place: &TestFolder, of: &MarkedCustomer) -> Vec<String> {
    let mut all = Vec::new();
    for (name, bytes) in files(&place.path().join(".baton")) {
        for needle in of.needles() {
            let needle = needle.as_bytes();
            let hits: Vec<usize> = bytes
                .windows(needle.len())
                .enumerate()
                .filter(|(_, window)| window.eq_ignore_ascii_case(needle))
                .map(|(at, _)| at)
                .collect();
            if let Some(first) = hits.first() {
                let around = bytes[first.saturating_sub(40)..(first + 60).min(bytes.len())].to_vec();
                let around = String::from_utf8_lossy(&around).into_owned();
                all.push(format!("{} in {name}, first at {first}: {around:?}", hits.len()));
            }
        }
    }
    all
}

fn subscribe(api: &ErasureApi) {
    // No server listens there: deliveries are attempted, and stored.
    let told = json!({ "name": "crm", "url": "http://127.0.0.1:9/told", "events": ["execution.completed", "approval.requested"] });
    api.post("/subscriptions", "", &told).expect_status(201);
}

#[test]
fn nothing_of_fifty_erased_customers_is_left_in_any_file_and_others_keep_what_is_theirs() {
    let place = place();
    let api = ErasureApi::of(&place);
    subscribe(&api);
    let customers: Vec<MarkedCustomer> = (0..55).map(MarkedCustomer::new).collect();
    let (kept, erased) = customers.split_at(5);
    let filled: Vec<(String, String)> = customers.iter().map(|one| api.fill(one)).collect();
    for one in &customers {
        wait_for("memory keeps the conversation", || {
            let kept = api.get(&format!("/customers/{}/export", one.id())).expect_status(200);
            let documents = kept["documents"].as_array().expect("documents").clone();
            documents.iter().any(|document| document["collection"] == "conversations").then_some(())
        });
        assert!(!found(&place, one).is_empty(), "there is something to erase");
    }
    assert_eq!(api.get("/audit/verify").expect_status(200)["holds"], true);
    for one in erased {
        let told = api.erase(one);
        assert_eq!(told["erased"]["conversations"], 1, "{told}");
        assert!(told["erased"]["executions"].as_u64().is_some_and(|runs| runs >= 4), "{told}");
        for kind in ["outbox", "tickets", "calendar", "contacts", "effects", "schedule", "asked_once"] {
            assert!(told["erased"]["records"][kind].as_u64().is_some_and(|rows| rows >= 1), "{kind}: {told}");
        }
        assert_eq!(told["file"], json!({ "vacuumed": true, "log_truncated": true, "bytes": told["file"]["bytes"] }));
    }
    let left: Vec<String> = erased.iter().flat_map(|one| found(&place, one)).collect();
    assert!(left.is_empty(), "{} places:\n{}", left.len(), left.join("\n"));
    assert_eq!(api.get("/audit/verify").expect_status(200)["holds"], true);
    // The remainder is marked as erased.
    let (run, talk) = &filled[5];
    let shown = api.get(&format!("/executions/{run}")).expect_status(200);
    assert!(shown["erased_at"].is_string() && shown["state"] == "completed", "{shown}");
    assert_eq!(shown["trace"]["started_at"], Value::Null, "nothing is known of it");
    for path in ["timeline", "journal", "summary"] {
        assert_eq!(api.get(&format!("/executions/{run}/{path}")).expect_status(410)["code"], "ERASED", "{path}");
    }
    for (path, body) in [("retry", json!({})), ("compensate", json!({})), ("fork", json!({ "node_id": "ask" }))] {
        assert_eq!(
            api.post(&format!("/executions/{run}/{path}"), "", &body).expect_status(410)["code"],
            "ERASED",
            "{path}"
        );
    }
    assert!(api.get(&format!("/conversations/{talk}")).expect_status(200)["erased_at"].is_string());
    assert_eq!(api.get(&format!("/conversations/{talk}/messages")).expect_status(410)["code"], "ERASED");
    assert_eq!(
        api.post(&format!("/conversations/{talk}/messages"), "", &json!({ "text": "hello" })).expect_status(410)["code"],
        "ERASED"
    );
    let export = api.get(&format!("/customers/{}/export", erased[0].id())).expect_status(200);
    assert!(export["erased"]["erased_at"].is_string(), "{export}");
    assert_eq!((&export["conversations"], &export["documents"]), (&json!([]), &json!([])));
    // Data of other customers is unchanged.
    for (one, (run, talk)) in kept.iter().zip(&filled) {
        assert!(!found(&place, one).is_empty(), "others keep what is theirs");
        assert_eq!(api.get(&format!("/executions/{run}/timeline")).status, 200);
        let said = json!({ "text": "and once more" });
        let talk = api.post(&format!("/conversations/{talk}/messages"), "", &said).expect_status(200);
        assert_eq!(talk["state"], "finished", "{talk}");
        assert_eq!(api.get(&format!("/customers/{}/export", one.id())).expect_status(200)["erased"], Value::Null);
    }
    let before = api.erase(&erased[0]);
    assert_eq!((&before["erased"]["executions"], &before["erased"]["records"]), (&json!(0), &json!({})), "{before}");
    // The command line agrees.
    api.server.kill();
    let run = &filled[6].0;
    place.baton(&["runs", "show", run]).expect_code(0).expect_stdout("gone for good");
    place.baton(&["runs", "retry", run]).expect_code(1).expect_stderr("was erased");
    place.baton(&["audit", "verify"]).expect_code(0);
    place.baton(&["verify"]).expect_code(0);
    let left: Vec<String> = erased.iter().flat_map(|one| found(&place, one)).collect();
    assert!(left.is_empty(), "{} places:\n{}", left.len(), left.join("\n"));
}

#[test]
fn what_has_not_ended_is_listed_and_ended_only_where_that_is_wished() {
    let place = place();
    let api = ErasureApi::of(&place);
    let ana = MarkedCustomer::new(1);
    let begun = json!({ "workflow_id": "wait", "user_id": ana.id(), "message": ana.mail() });
    let talk = api.post("/conversations", "", &begun).expect_status(200)["conversation_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/customers/{}/erase", ana.id());
    let refused = api.post(&path, "", &json!({})).expect_status(409);
    assert_eq!(refused["code"], "CUSTOMER_HAS_LIVE_RUNS");
    let mut live: Vec<&str> =
        refused["live"].as_array().expect("a list").iter().map(|one| one["id"].as_str().expect("an id")).collect();
    live.sort_unstable();
    assert_eq!(live, [talk.clone(), format!("{talk}.1")]);
    assert!(!found(&place, &ana).is_empty());
    let erased = api.post(&format!("{path}?end_runs=true"), "", &json!({ "also": [ana.mail()] })).expect_status(200);
    assert_eq!(erased["ended"].as_array().map(Vec::len), Some(2), "{erased}");
    assert_eq!(found(&place, &ana), [] as [String; 0]);
    assert_eq!(api.get(&format!("/executions/{talk}.1")).expect_status(200)["state"], "cancelled");
}

#[test]
fn an_erasure_that_is_killed_is_finished_by_the_same_request() {
    let place = place();
    let api = ErasureApi::of(&place);
    let (ana, bob) = (MarkedCustomer::new(1), MarkedCustomer::new(2));
    let (_, talk) = api.fill(&ana);
    let (kept, _) = api.fill(&bob);
    for number in 0..40 {
        let said = json!({ "text": format!("{}more {number}", ana.mark) });
        api.post(&format!("/conversations/{talk}/messages"), "", &said).expect_status(200);
    }
    // Each attempt is killed some commits later than the one before, until one finishes first. While the database file
    // is rewritten, each page counts as a commit.
    let log = place.path().join(".baton/baton.db-wal");
    let stamp = || std::fs::metadata(&log).ok().map(|of| (of.len(), of.modified().ok()));
    let mut finished = false;
    for attempt in 0..1_000 {
        let mut erasing = place.spawn(&[
            "customers",
            "erase",
            &ana.id(),
            "--also",
            &ana.mail(),
            "--also",
            &ana.phone(),
            "--end-runs",
            "--json",
        ]);
        let (mut seen, mut commits) = (stamp(), 0);
        while commits <= attempt {
            if let Some(status) = erasing.try_wait().expect("a process") {
                finished = status.success();
                break;
            }
            std::thread::yield_now();
            let now = stamp();
            commits += usize::from(now != seen);
            seen = now;
        }
        if finished {
            break;
        }
        erasing.kill().expect("is killed");
        erasing.wait().expect("ends");
    }
    assert!(finished, "no attempt was left to end");
    assert_eq!(found(&place, &ana), [] as [String; 0]);
    assert_eq!(api.get("/audit/verify").expect_status(200)["holds"], true);
    assert_eq!(api.get(&format!("/executions/{kept}/timeline")).status, 200);
    assert!(!found(&place, &bob).is_empty());
}

/// All stored data about a customer, except what memory writes by itself and the time of the export.
fn kept(api: &ErasureApi, of: &MarkedCustomer) -> Value {
    let mut kept = api.get(&format!("/customers/{}/export", of.id())).expect_status(200);
    (kept["exported_at"], kept["documents"]) = (Value::Null, Value::Null);
    kept
}

#[test]
fn a_number_for_an_id_takes_nothing_of_anybody_elses_with_it() {
    let place = place();
    let api = ErasureApi::of(&place);
    let bob = MarkedCustomer::new(2);
    let (_, talk) = api.fill(&bob);
    let note = json!({ "note": "1500 EUR until 2026-11-25, order 20261125, room 2026, +34 1500 2026 1125" });
    api.run("note", "", note.clone(), &bob);
    let ticket = json!({
        "arguments": { "subject": "Invoice of 1500 EUR", "description": "due on 20261125 or 2026-11-25" }, "context": { "user_id": bob.id() },
    });
    api.post("/tools/create_ticket/execute", "", &ticket).expect_status(200);
    let said = json!({ "text": "I paid 1500 in 2026" });
    api.post(&format!("/conversations/{talk}/messages"), "", &said).expect_status(200);
    let before = kept(&api, &bob);
    for id in ["1500", "2026", "20261125"] {
        let erased = api.post(&format!("/customers/{id}/erase?end_runs=true"), "", &json!({})).expect_status(200);
        assert_eq!((&erased["found"], &erased["erased_at"]), (&json!(false), &Value::Null), "{erased}");
        assert_eq!((&erased["erased_audit_rows"], &erased["erased"]["records"]), (&json!(0), &json!({})), "{erased}");
        assert_eq!(kept(&api, &bob), before, "{id}");
        assert_eq!(api.get(&format!("/customers/{id}/export")).expect_status(200)["erased"], Value::Null);
    }
    // The customer's own data is still found.
    let body = json!({ "workflow_id": "note", "input_data": { "note": "hers", "customer": { "id": 1500 } } });
    let own = api.post("/workflows/execute", "", &body).expect_status(200)["execution_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let call =
        json!({ "arguments": { "contact_id": "1500", "fields": { "name": "Ana" } }, "context": { "user_id": "1500" } });
    api.post("/tools/update_crm/execute", "", &call).expect_status(200);
    let erased = api.post("/customers/1500/erase", "", &json!({})).expect_status(200);
    assert_eq!((&erased["found"], &erased["erased"]["records"]["contacts"]), (&json!(true), &json!(1)), "{erased}");
    assert!(erased["erased"]["executions"].as_u64().is_some_and(|runs| runs >= 2), "{erased}");
    assert!(api.get(&format!("/executions/{own}")).expect_status(200)["erased_at"].is_string());
    assert_eq!(kept(&api, &bob), before);
}

#[test]
fn what_is_written_in_another_way_is_erased_too() {
    let place = place();
    let api = ErasureApi::of(&place);
    let ana = MarkedCustomer::new(3);
    let mark = &ana.mark;
    let run = |input: Value| {
        let body = json!({ "workflow_id": "note", "input_data": input });
        api.post("/workflows/execute", "", &body).expect_status(200);
    };
    run(json!({ "note": format!("{mark}a"), "phone": "+34612345678" }));
    run(json!({ "note": format!("{mark}b"), "name": "JOSÉ PÉREZ" }));
    run(json!({ "note": format!("{mark}c"), "user_id": "(612) 345-678" }));
    run(json!({ "note": "another's", "phone": "+35612345678", "name": "José Pérez Gil" }));
    let call = json!({ "arguments": { "contact_id": "+34612345678", "fields": { "city": format!("{mark}city") } } });
    api.post("/tools/update_crm/execute", "", &call).expect_status(200);
    let about = json!({ "name": format!("{mark}.md"), "text": format!("{mark}doc"), "about": "0034 612 345 678" });
    api.post("/knowledge/documents", "", &about).expect_status(200);
    let also = json!({ "also": ["+34 612 34 56 78", "Jose\u{301} Pe\u{301}rez"] });
    let erased = api.post(&format!("/customers/{}/erase", ana.id()), "", &also).expect_status(200);
    assert_eq!((&erased["found"], &erased["erased"]["records"]["contacts"]), (&json!(true), &json!(1)), "{erased}");
    assert_eq!(
        (&erased["erased"]["executions"], &erased["forgotten"]["knowledge"]),
        (&json!(4), &json!(1)),
        "{erased}"
    );
    assert_eq!(found(&place, &ana), [] as [String; 0]);
}

#[test]
fn an_erasure_says_whether_there_was_anybody_and_when_they_were_erased() {
    let place = place();
    let api = ErasureApi::of(&place);
    let ana = MarkedCustomer::new(4);
    let path = format!("/customers/{}/erase", ana.id());
    let nobody = api.post(&path, "", &json!({})).expect_status(200);
    assert_eq!(
        (&nobody["found"], &nobody["erased_at"], &nobody["scrubbed"]),
        (&json!(false), &Value::Null, &json!(true))
    );
    place
        .baton(&["customers", "erase", &ana.id()])
        .expect_code(0)
        .expect_stdout("nothing of a customer of this id was found");
    assert_eq!(kept(&api, &ana)["erased"], Value::Null);
    api.run("note", "", json!({ "note": "hers" }), &ana);
    let first = api.post(&path, "", &json!({})).expect_status(200);
    assert!(first["found"] == true && first["erased_at"].is_string(), "{first}");
    let again = api.post(&path, "", &json!({})).expect_status(200);
    assert_eq!((&again["found"], &again["erased_at"]), (&json!(false), &first["erased_at"]), "{again}");
    place
        .baton(&["customers", "erase", &ana.id()])
        .expect_code(0)
        .expect_stdout("nothing of this customer is left: erased at");
}

#[test]
fn what_a_conversation_asked_of_the_desk_its_channel_and_the_words_of_a_fault_go_too() {
    let place = place();
    let api = ErasureApi::of(&place);
    let ana = MarkedCustomer::new(5);
    let begun = json!({
        "workflow_id": "over", "user_id": ana.id(), "channel": format!("{}channel", ana.mark), "message": format!("{}skill", ana.mark),
    });
    let talk = api.post("/conversations", "", &begun).expect_status(200)["conversation_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    wait_for("it waits at the desk", || (api.get("/queue").expect_status(200)["total"] == 1).then_some(()));
    let body = json!({ "workflow_id": "fail", "input_data": { "note": ana.mark }, "context": { "user_id": ana.id() } });
    let failed = api.post("/workflows/execute", "", &body).body["execution_id"].as_str().expect("an id").to_owned();
    let by_error =
        || api.get("/executions?error_code=SLOT_GONE").expect_status(200)["executions"][0]["execution_id"].clone();
    wait_for("it has failed", || (by_error() == failed.as_str()).then_some(()));
    let erased = api.post(&format!("/customers/{}/erase?end_runs=true", ana.id()), "", &json!({})).expect_status(200);
    assert!(erased["erased"]["desk_entries"].as_u64().is_some_and(|entries| entries >= 1), "{erased}");
    assert_eq!(found(&place, &ana), [] as [String; 0]);
    assert_eq!(api.get(&format!("/conversations/{talk}")).expect_status(200)["channel"], "");
    assert_eq!(by_error(), failed.as_str(), "it is found by its error still");
}

#[test]
fn a_file_that_cannot_be_scrubbed_now_is_told_of_and_scrubbed_by_the_same_request() {
    let place = place();
    let api = ErasureApi::of(&place);
    let ana = MarkedCustomer::new(6);
    api.run("note", "", json!({ "note": format!("{}tx", ana.mark) }), &ana);
    let reading = rusqlite::Connection::open(place.path().join(".baton/baton.db")).expect("opens");
    reading.execute_batch("BEGIN").expect("begins");
    reading.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, u64>(0)).expect("reads");
    let path = format!("/customers/{}/erase", ana.id());
    let erased = api.post(&path, "", &json!({})).expect_status(200);
    assert_eq!((&erased["found"], &erased["scrubbed"]), (&json!(true), &json!(false)), "{erased}");
    assert!(erased["file"]["unfinished"].is_string() && erased["file"]["log_truncated"] == false, "{erased}");
    assert_eq!(kept(&api, &ana)["erased"]["scrubbed"], false);
    let left = |space: &str| {
        let count = "SELECT count(*) FROM record WHERE space = ?1";
        let raw = rusqlite::Connection::open(place.path().join(".baton/baton.db")).expect("opens");
        raw.query_row(count, [space], |row| row.get::<_, u64>(0)).expect("reads")
    };
    assert_eq!((left("erasing_customer"), left("erased_customer")), (1, 1));
    reading.execute_batch("COMMIT").expect("ends");
    let again = api.post(&path, "", &json!({})).expect_status(200);
    assert_eq!(
        (&again["found"], &again["scrubbed"], &again["erased_at"]),
        (&json!(false), &json!(true), &erased["erased_at"])
    );
    assert_eq!((kept(&api, &ana)["erased"]["scrubbed"].clone(), left("erasing_customer")), (json!(true), 0));
    assert_eq!(found(&place, &ana), [] as [String; 0]);
}
