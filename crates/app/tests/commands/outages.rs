//! Runs while a service is down, depending on the settings of their tools, with a real server that is down and
//! recovers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::reserved_port::ReservedPort;
use super::test_folder::{CommandOutput, TestFolder};

/// Time limit for any wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// No server listens on its port until it recovers.
struct DownService(ReservedPort);

impl DownService {
    fn down() -> Self {
        Self(ReservedPort::reserve())
    }

    /// Answers every request from now on.
    fn recover(self) {
        let listener = self.0.listen();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client may be gone.
                answer(stream).ok();
            }
        });
    }

    /// A project with one tool of this service that has these outage settings, and a workflow that calls it.
    fn place(&self, tool: &str) -> TestFolder {
        let tool = format!(
            "name: ask\nkind: http\nurl: http://{}/it\nretry: {{max_attempts: 2, initial_ms: 100, \
             multiplier: 1.0}}\n{tool}",
            self.0.address()
        );
        TestFolder::with(&[("workflows/w.yaml", WORKFLOW), ("tools/ask.yaml", &tool)])
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = r#"{"id": 7}"#;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

const WORKFLOW: &str = "name: w\nnodes: [{id: act, tool: ask, parameters: {query: hours}}]\n";
const READS: &str = "method: GET\nclass: read\noutput_fields: [query, results]\nstand_in: {results: []}\n";
const ACTS: &str = "irreversible: it is done\nidempotency_header: Idempotency-Key\n";

fn result(place: &TestFolder, run: &str, node: &str) -> Value {
    place.baton(&["runs", "show", run, "--json"]).expect_code(0).json()["outputs"][node].clone()
}

#[test]
fn what_only_asks_is_answered_with_nothing_and_says_so() {
    let service = DownService::down();
    let place = service.place(&format!("{READS}on_unavailable: empty\n"));
    place.baton(&["run", "w", "--id", "one"]).expect_code(0).expect_stdout("goes on without an answer");
    let found = result(&place, "one", "act");
    assert_eq!(
        (&found["query"], &found["results"], &found["degraded"], &found["degraded_reason"]),
        (&json!("hours"), &json!([]), &json!(true), &json!("SERVICE_UNAVAILABLE"))
    );
}

#[test]
fn settings_say_what_is_done_in_place_of_the_tool() {
    let service = DownService::down();
    let place = service.place(&format!("{READS}on_unavailable: empty\n"));
    place.write("baton.toml", "[tools.tool.ask]\non_unavailable = \"unavailable\"\n");
    place.baton(&["run", "w", "--id", "one"]).expect_code(0);
    assert_eq!(result(&place, "one", "act")["available"], json!(false));
}

#[test]
fn what_acts_fails_and_is_not_answered_for() {
    let service = DownService::down();
    let place = service.place(&format!("{ACTS}on_unavailable: unavailable\n"));
    place.baton(&["run", "w", "--id", "one"]).expect_code(1).expect_stdout("SERVICE_UNAVAILABLE");
}

#[test]
fn a_queued_call_is_done_once_its_service_is_back() {
    let service = DownService::down();
    let place = service.place(&format!("{ACTS}on_unavailable: queue\n"));
    let run = place.spawn(&["run", "w", "--id", "one"]);
    let began = Instant::now();
    while !place.baton(&["runs", "journal", "one"]).out.contains("queued") {
        assert!(began.elapsed() < WAIT_LIMIT, "it is never queued");
    }
    place.baton(&["runs", "show", "one", "--json"]).expect_code(0).expect_stdout("\"waiting\"");
    service.recover();
    CommandOutput::wait_for(run);
    place.baton(&["runs", "work"]);
    assert_eq!(result(&place, "one", "act"), json!({"id": 7, "degraded": true}));
}

#[test]
fn a_person_does_by_hand_what_the_service_cannot() {
    let service = DownService::down();
    let place = service.place(&format!("{ACTS}on_unavailable: manual\n"));
    place.baton(&["run", "w", "--id", "one"]).expect_code(3).expect_stdout("is to be done by hand");
    place.baton(&["desk", "list"]).expect_code(0).expect_stdout("by hand");
    place.baton(&["desk", "resolve", "one", "--done", r#"{"id": "by olga"}"#]).expect_code(0);
    assert_eq!(result(&place, "one", "act"), json!({"id": "by olga", "degraded": true}));
    place.baton(&["run", "w", "--id", "two"]).expect_code(3);
    place.baton(&["desk", "resolve", "two", "--not-done"]).expect_code(1).expect_stdout("did not do by hand");
}

const LETTER: &str = "\
name: w
nodes: [{id: act, tool: send_email, parameters: {to: ana@example.com, subject: Hi, body: Ten}, retry: {max_attempts: 1}}]
";

fn by_mail(service: &DownService, way: &str) -> TestFolder {
    let settings = format!(
        "[tools.tool.send_email]\non_unavailable = \"{way}\"\n[tools.email.smtp]\nhost = \"127.0.0.1\"\nport = {}\n\
         tls = \"none\"\nfrom = \"Clinic <clinic@example.com>\"\n",
        service.0.address().port()
    );
    TestFolder::with(&[("workflows/w.yaml", LETTER), ("baton.toml", &settings)])
}

#[test]
fn another_provider_stands_in() {
    let service = DownService::down();
    let place = by_mail(&service, "provider outbox");
    place.baton(&["run", "w", "--id", "one"]).expect_code(0).expect_stdout("`outbox` does it instead");
    let sent = result(&place, "one", "act");
    assert_eq!((&sent["provider"], &sent["degraded"]), (&json!("outbox"), &json!(true)));
    let rows = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    let providers: Vec<&Value> =
        rows["rows"].as_array().expect("rows").iter().map(|row| &row["details"]["provider"]).collect();
    assert!(providers.contains(&&json!("smtp")) && providers.contains(&&json!("outbox")), "{rows}");
}

#[test]
fn a_provider_that_cannot_stand_in_is_refused_with_the_reason() {
    let service = DownService::down();
    for (way, why) in [
        ("provider nobody", "no provider `nobody`"),
        ("provider smtp", "choose already"),
        ("provider sendgrid", "no `sendgrid`"),
        ("provider", "`provider NAME`"),
    ] {
        by_mail(&service, way).baton(&["run", "w"]).expect_code(2).expect_stderr(why);
    }
    let promises_less = by_mail(&service, "provider smtp");
    let text = std::fs::read_to_string(promises_less.path().join("baton.toml")).expect("settings");
    promises_less.write(
        "baton.toml",
        text.replace("[tools.email.smtp]", "[tools.email]\nprovider = \"outbox\"\n[tools.email.smtp]"),
    );
    promises_less.baton(&["run", "w"]).expect_code(2).expect_stderr("can only promise");
}

#[test]
fn nothing_is_to_stand_in_for_what_acts() {
    let service = DownService::down();
    let place = service.place(&format!("{ACTS}on_unavailable: empty\n"));
    place.baton(&["validate"]).expect_code(2).expect_stderr("never answered for");
}

#[test]
fn a_service_that_keeps_failing_is_left_alone_and_the_result_says_so() {
    let service = DownService::down();
    let place = service.place(&format!("{READS}on_unavailable: empty\n"));
    let call = |id: &str| format!("{{id: {id}, tool: ask, parameters: {{query: hours}}}}");
    let workflow = format!(
        "name: w\nnodes: [{}, {}, {}, {}]\nedges: [{{from: a, to: b}}, {{from: b, to: c}}, {{from: c, to: d}}]\n",
        call("a"),
        call("b"),
        call("c"),
        call("d")
    );
    place.write("workflows/w.yaml", workflow);
    place.baton(&["run", "w", "--id", "one"]).expect_code(0);
    assert_eq!(result(&place, "one", "b")["degraded_reason"], "SERVICE_UNAVAILABLE");
    assert_eq!(result(&place, "one", "d")["degraded_reason"], "CIRCUIT_OPEN");
    assert!(result(&place, "one", "d")["message"].as_str().is_some_and(|text| text.contains("few minutes")));
}

#[test]
fn knowledge_in_an_index_that_is_down_is_empty_unless_settings_say_otherwise() {
    let service = DownService::down();
    let settings =
        |more: &str| format!("[tools.knowledge.chroma]\nbase_url = \"http://{}\"\n{more}", service.0.address());
    let workflow = "name: w\nnodes: [{id: look, tool: knowledge_base, parameters: {query: hours}}]\n";
    let place = TestFolder::with(&[("workflows/w.yaml", workflow), ("baton.toml", &settings(""))]);
    place.baton(&["run", "w", "--id", "one"]).expect_code(0);
    let found = result(&place, "one", "look");
    assert_eq!(
        (&found["query"], &found["results"], &found["count"], &found["degraded"], &found["degraded_reason"]),
        (&json!("hours"), &json!([]), &json!(0), &json!(true), &json!("SERVICE_UNAVAILABLE"))
    );
    place.write("baton.toml", settings("[tools.tool.knowledge_base]\non_unavailable = \"unavailable\"\n"));
    place.baton(&["run", "w", "--id", "two"]).expect_code(0);
    assert_eq!(result(&place, "two", "look")["available"], json!(false));
}
