//! End-to-end tests of incoming and outgoing webhooks, and of decision links.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use baton_core::time::Time;
use baton_engine::triggers::signature::{sign, sign_hex};
use serde_json::{Value, json};

use crate::decision_links::MockMailServer;
use crate::reserved_port::ReservedPort;
use crate::server::{BatonServer, wait_for};
use crate::test_folder::TestFolder;

const ORDER: &str = "\
name: order
input: {article: {type: string}}
nodes: [{id: note, type: transform, set: {article: '{{ input.article }}'}}]
";
const SETTINGS: &str = "\
[webhooks]
retry_seconds = [1, 1]
[tools.outbound]
allow = [\"127.0.0.1\"]
[tools.tool.pay]
approval = true
approvers = { from = [\"olga\"] }
";
const TOOLS: &str = "tools: [{name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {}}]}]\n";
const PAY: &str = "name: pay\nnodes: [{id: pay, tool: pay, parameters: {amount: 250, note: '<b>now</b>'}}]\n";

const TALK: &str = "name: talk\nnodes: [{id: say, type: transform, set: {text: 'a secret answer'}}]\n";

fn place() -> TestFolder {
    TestFolder::with(&[
        ("workflows/talk.yaml", TALK),
        ("baton.toml", SETTINGS),
        ("tools/tools.yaml", TOOLS),
        ("workflows/order.yaml", ORDER),
        ("workflows/pay.yaml", PAY),
    ])
}

/// A server with its admin key.
struct HooksApi {
    server: BatonServer,
    key: String,
}

impl HooksApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let key = server.key().expect("a key").to_owned();
        Self { server, key }
    }

    fn again(self, place: &TestFolder) -> Self {
        self.server.kill();
        Self { server: BatonServer::start(place), key: self.key }
    }

    fn ask(&self, request: &str, body: Value) -> crate::server::ApiAnswer {
        self.server.ask(request, &self.key, "", &body)
    }

    fn hook(&self, more: Value) -> String {
        let mut hook =
            json!({ "name": "orders", "workflow_id": "order", "input_data": { "article": "{{ body.items[0].sku }}" } });
        hook.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let made = self.ask("POST /api/v1/webhooks", hook).expect_status(201);
        assert_eq!(made["path"], "/hooks/default/orders");
        made["secret"].as_str().expect("a secret").to_owned()
    }

    /// Returns the status, and the body as JSON.
    fn deliver(&self, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let answer = self.server.send(&format!("POST {path}"), headers, body);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    fn runs(&self) -> usize {
        self.ask("GET /api/v1/executions", Value::Null).expect_status(200)["executions"].as_array().expect("runs").len()
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Time::from_ms(i64::try_from(since.as_millis()).expect("fits"))
}

fn signed(secret: &str, id: &str, at: Time, body: &str) -> String {
    let (seconds, signature) = (at.as_ms() / 1_000, sign(secret, id, at, body.as_bytes()));
    format!("webhook-id: {id}\r\nwebhook-timestamp: {seconds}\r\nwebhook-signature: {signature}\r\n")
}

const BODY: &str = r#"{"items": [{"sku": "A-1"}]}"#;

#[test]
fn a_signed_delivery_is_one_run_however_often_it_comes_and_though_the_server_is_killed() {
    let place = place();
    let api = HooksApi::of(&place);
    let secret = api.hook(json!({}));
    let headers = signed(&secret, "msg_1", now(), BODY);
    let (status, first) = api.deliver("/hooks/orders", &headers, BODY);
    assert_eq!(status, 202, "{first}");
    let run = first["execution_id"].as_str().expect("an id").to_owned();
    let done = wait_for("it ends", || {
        let shown = api.ask(&format!("GET /api/v1/executions/{run}"), Value::Null);
        Some(shown.expect_status(200)).filter(|run| run["status"] == "completed")
    });
    assert_eq!(done["outputs"]["note"]["article"], "A-1");
    assert_eq!(api.deliver("/hooks/default/orders", &headers, BODY), (202, first.clone()), "by its whole address too");
    let api = api.again(&place);
    assert_eq!(api.deliver("/hooks/orders", &signed(&secret, "msg_1", now(), BODY), BODY), (202, first));
    assert_eq!(api.runs(), 1);
    assert_eq!(api.deliver("/hooks/orders", &signed(&secret, "msg_2", now(), BODY), BODY).0, 202);
    assert_eq!(api.runs(), 2);
}

#[test]
fn nobody_learns_from_a_refusal_which_hooks_there_are() {
    let api = HooksApi::of(&place());
    let secret = api.hook(json!({}));
    let good = signed(&secret, "m", now(), BODY);
    let unknown = api.deliver("/hooks/none", &good, BODY);
    assert_eq!((unknown.0, &unknown.1["code"]), (401, &json!("SIGNATURE_INVALID")));
    let old = signed(&secret, "m", Time::from_ms(now().as_ms() - 301_000), BODY);
    let other = signed("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB=", "m", now(), BODY);
    for (path, headers, body) in [
        ("/hooks/orders", good.as_str(), "{}"),
        ("/hooks/orders", other.as_str(), BODY),
        ("/hooks/orders", old.as_str(), BODY),
        ("/hooks/orders", "", BODY),
        ("/hooks/other/orders", good.as_str(), BODY),
        ("/hooks/%2e%2e/orders", good.as_str(), BODY),
    ] {
        assert_eq!(api.deliver(path, headers, body), unknown, "{path} {headers}");
    }
    let mut disabled = json!({ "workflow_id": "order", "input_data": { "article": "{{ body.x }}" } });
    disabled["enabled"] = json!(false);
    api.ask("PUT /api/v1/webhooks/orders", disabled.clone()).expect_status(200);
    assert_eq!(api.deliver("/hooks/orders", &good, BODY), unknown, "it is not enabled");
    // A sender with a valid signature is told what is invalid.
    disabled["enabled"] = json!(true);
    api.ask("PUT /api/v1/webhooks/orders", disabled).expect_status(200);
    assert_eq!(api.deliver("/hooks/orders", &signed(&secret, "m", now(), "{"), "{").0, 400);
    assert_eq!(api.deliver("/hooks/orders", &signed(&secret, "m", now(), "[]"), "[]").0, 422);
    assert_eq!(api.runs(), 0);
}

#[test]
fn old_and_new_secret_are_good_while_one_takes_the_others_place() {
    let api = HooksApi::of(&place());
    let old = api.hook(json!({}));
    let rotated = api.ask("POST /api/v1/webhooks/orders/rotate", json!({ "overlap_hours": 1 })).expect_status(200);
    let new = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(api.deliver("/hooks/orders", &signed(&old, "a", now(), BODY), BODY).0, 202);
    assert_eq!(api.deliver("/hooks/orders", &signed(&new, "b", now(), BODY), BODY).0, 202);
    api.ask("POST /api/v1/webhooks/orders/rotate", json!({ "overlap_hours": 0 })).expect_status(200);
    assert_eq!(api.deliver("/hooks/orders", &signed(&new, "c", now(), BODY), BODY).0, 401);
    let shown = api.ask("GET /api/v1/webhooks/orders", Value::Null).expect_status(200);
    assert_eq!(shown["secret"], Value::Null, "{shown}");
}

#[test]
fn github_signs_in_its_own_way_and_a_replay_under_another_id_is_the_same_run() {
    let api = HooksApi::of(&place());
    let secret = "It's-a-Secret-to-Everybody";
    api.hook(json!({ "form": "github", "secret": secret }));
    let signature = sign_hex(secret, &[BODY.as_bytes()]);
    let with = |id: &str| format!("x-github-delivery: {id}\r\nx-hub-signature-256: sha256={signature}\r\n");
    let (status, first) = api.deliver("/hooks/orders", &with("1"), BODY);
    assert_eq!(status, 202, "{first}");
    assert_eq!(api.deliver("/hooks/orders", &with("2"), BODY), (202, first));
    assert_eq!(api.runs(), 1);
}

/// One posted request: its header lines in lower case, and its body.
#[derive(Clone, Debug)]
struct PostedHook {
    head: String,
    body: String,
}

impl PostedHook {
    fn header(&self, name: &str) -> &str {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect("a header")
    }
}

/// A subscriber. Responds with these statuses in order, then with 204. 0 means no response at all.
struct HookReceiver {
    address: String,
    heard: Arc<Mutex<Vec<PostedHook>>>,
}

impl HookReceiver {
    fn start(statuses: &'static [u16]) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").expect("a port"), statuses)
    }

    fn at(listener: TcpListener, statuses: &'static [u16]) -> Self {
        let address = listener.local_addr().expect("an address").to_string();
        let heard = Arc::<Mutex<Vec<PostedHook>>>::default();
        let all = heard.clone();
        std::thread::spawn(move || {
            let mut statuses = statuses.iter();
            for stream in listener.incoming().flatten() {
                // The sender may be gone.
                let _ = hear(stream, &all, statuses.next().copied().unwrap_or(204));
            }
        });
        Self { address, heard }
    }

    fn heard(&self, at_least: usize) -> Vec<PostedHook> {
        wait_for("it is told", || {
            Some(self.heard.lock().expect("whole").clone()).filter(|heard| heard.len() >= at_least)
        })
    }
}

fn hear(stream: TcpStream, all: &Mutex<Vec<PostedHook>>, status: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap_or(0);
        }
        head.push_str(&format!("{}: {value}\n", name.to_ascii_lowercase()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("text");
    all.lock().expect("whole").push(PostedHook { head, body });
    if status > 0 {
        write!(reader.get_mut(), "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    }
    Ok(())
}

fn subscribe(api: &HooksApi, receiver: &str, events: &[&str]) -> String {
    let subscription = json!({ "name": "shop", "url": format!("http://{receiver}/told"), "events": events });
    let made = api.ask("POST /api/v1/subscriptions", subscription).expect_status(201);
    made["secret"].as_str().expect("a secret").to_owned()
}

fn order(api: &HooksApi) -> String {
    let order = json!({ "workflow_id": "order", "input_data": { "article": "A-1" } });
    let run = api.ask("POST /api/v1/workflows/execute", order).expect_status(200);
    run["execution_id"].as_str().expect("an id").to_owned()
}

#[test]
fn who_subscribed_is_told_signed_and_again_until_it_is_taken() {
    let api = HooksApi::of(&place());
    let receiver = HookReceiver::start(&[500, 0]);
    let secret = subscribe(&api, &receiver.address, &["execution.completed"]);
    let run = order(&api);
    let heard = receiver.heard(3);
    let told: Value = serde_json::from_str(&heard[0].body).expect("JSON");
    assert_eq!((&told["type"], &told["data"]["execution_id"]), (&json!("execution.completed"), &json!(run)), "{told}");
    for one in &heard {
        assert_eq!((one.header("webhook-id"), &one.body), (heard[0].header("webhook-id"), &heard[0].body));
        let at: i64 = one.header("webhook-timestamp").parse().expect("seconds");
        let signature = sign(&secret, one.header("webhook-id"), Time::from_ms(at * 1_000), one.body.as_bytes());
        assert_eq!(one.header("webhook-signature"), signature);
    }
    let sent = wait_for("it is settled", || {
        let sent = api.ask("GET /api/v1/subscriptions/shop/deliveries?state=sent", Value::Null).expect_status(200);
        sent["deliveries"].as_array().expect("a list").first().cloned()
    });
    assert_eq!((&sent["attempts"], &sent["last"]), (&json!(3), &json!("answered 204")), "{sent}");
}

#[test]
fn who_subscribed_to_conversations_is_told_what_becomes_of_them_and_not_what_is_said() {
    let api = HooksApi::of(&place());
    let receiver = HookReceiver::start(&[]);
    subscribe(&api, &receiver.address, &["conversation.*"]);
    let begin = json!({ "workflow_id": "talk", "user_id": "cust_1", "channel": "web", "message": "a secret question" });
    let begun = api.ask("POST /api/v1/conversations", begin).expect_status(200);
    let id = begun["conversation_id"].as_str().expect("an id");
    let on =
        |verb: &str, body: Value| api.ask(&format!("POST /api/v1/conversations/{id}/{verb}"), body).expect_status(200);
    on("messages", json!({ "text": "I want to speak to a human" }));
    on("take-over", json!({}));
    on("notes", json!({ "text": "a secret note" }));
    on("give-back", json!({ "note": "" }));
    on("take-over", json!({}));
    on("resolve", json!({}));
    on("rate", json!({ "score": 5, "comment": "a secret thought" }));
    on("reopen", json!({}));
    let expected = [
        ("assigned", 2),
        ("begun", 1),
        ("finished", 1),
        ("given_back", 1),
        ("handed_over", 2),
        ("message", 3),
        ("rated", 1),
        ("reopened", 1),
        ("resolved", 1),
    ];
    let heard = receiver.heard(expected.iter().map(|(_, count)| count).sum());
    let told: Vec<Value> = heard.iter().map(|one| serde_json::from_str(&one.body).expect("JSON")).collect();
    let of = |event: &str| {
        let event = format!("conversation.{event}");
        told.iter().filter(|one| one["type"] == json!(event)).collect::<Vec<_>>()
    };
    for (event, count) in expected {
        assert_eq!(of(event).len(), count, "{event}: {told:?}");
    }
    assert!(told.iter().all(|one| one["data"]["conversation_id"] == json!(id) && one["data"]["workflow_id"] == "talk"));
    assert!(heard.iter().all(|one| !one.body.contains("secret")), "{heard:?}");
    assert_eq!((&of("begun")[0]["data"]["user_id"], &of("rated")[0]["data"]["score"]), (&json!("cust_1"), &json!(5)));
    let reasons: Vec<&Value> = of("handed_over").iter().map(|one| &one["data"]["hil_reason"]).collect();
    assert!(reasons.contains(&&json!("explicit_request")), "{reasons:?}");
    // The ids are in the order of the events.
    let mut ids: Vec<(&str, &Value)> =
        heard.iter().map(|one| one.header("webhook-id")).zip(told.iter().map(|one| &one["type"])).collect();
    ids.sort_by_key(|(id, _)| id[..20].to_owned());
    assert_eq!((ids[0].1, ids[1].1), (&json!("conversation.begun"), &json!("conversation.message")));
}

#[test]
fn what_is_given_up_is_a_dead_letter_and_is_posted_again_where_asked() {
    let api = HooksApi::of(&place());
    let receiver = HookReceiver::start(&[500, 500, 500]);
    subscribe(&api, &receiver.address, &["*"]);
    order(&api);
    let dead = wait_for("it is given up", || {
        let dead = api.ask("GET /api/v1/subscriptions/shop/deliveries", Value::Null).expect_status(200);
        dead["deliveries"].as_array().expect("a list").first().cloned()
    });
    assert_eq!((&dead["attempts"], &dead["last"]), (&json!(3), &json!("answered 500")), "{dead}");
    let id = dead["id"].as_str().expect("an id");
    api.ask(&format!("POST /api/v1/subscriptions/shop/deliveries/{id}/replay"), Value::Null).expect_status(202);
    assert_eq!(receiver.heard(4)[3].header("webhook-id"), id);
}

#[test]
fn what_was_recorded_before_a_kill_is_told_after_it() {
    let place = place();
    let api = HooksApi::of(&place);
    let port = ReservedPort::reserve();
    subscribe(&api, &port.address().to_string(), &["execution.completed"]);
    let run = order(&api);
    api.server.kill();
    let receiver = HookReceiver::at(port.listen(), &[]);
    let _server = BatonServer::start(&place);
    let told: Value = serde_json::from_str(&receiver.heard(1)[0].body).expect("JSON");
    assert_eq!(told["data"]["execution_id"], run);
}

#[test]
fn an_address_inside_is_not_subscribed() {
    let api = HooksApi::of(&place());
    for url in ["http://127.0.0.2/", "http://169.254.169.254/latest", "http://10.0.0.1/", "file:///etc/passwd", "no"] {
        let subscription = json!({ "name": "x", "url": url, "events": ["*"] });
        let refused = api.ask("POST /api/v1/subscriptions", subscription).expect_status(422);
        assert!(refused["detail"].as_str().expect("why").contains("`url`"), "{refused}");
    }
    let wrong = json!({ "name": "x", "url": "https://example.com/", "events": ["execution.born"] });
    api.ask("POST /api/v1/subscriptions", wrong).expect_status(422);
}

/// A run that waits for an approval, and the path of olga's link from her e-mail.
fn link(api: &HooksApi, mail: &MockMailServer) -> (String, String) {
    let olga = json!({ "name": "Olga", "email": "olga@example.com" });
    api.ask("PUT /api/v1/human-agents/olga", olga).expect_status(200);
    let run = api.ask("POST /api/v1/workflows/execute", json!({ "workflow_id": "pay" })).expect_status(202);
    let run = run["execution_id"].as_str().expect("an id").to_owned();
    let waiting = api.ask("GET /api/v1/approvals", Value::Null).expect_status(200);
    let request = waiting["items"][0]["id"].as_str().expect("an id").replace('/', "%2F");
    api.ask(&format!("POST /api/v1/approvals/{request}/links"), json!({ "person": "olga" })).expect_status(201);
    (run, mail.link_to("olga@example.com"))
}

/// The same project with a mail server.
fn place_with(mail: &MockMailServer) -> TestFolder {
    let settings = format!("{SETTINGS}{}", mail.settings());
    let place = place();
    place.write("baton.toml", settings);
    place
}

/// Returns the head and the page.
fn press(api: &HooksApi, path: &str, form: &str) -> String {
    api.server.send(&format!("POST {path}"), "Content-Type: application/x-www-form-urlencoded\r\n", form)
}

fn status(api: &HooksApi, run: &str) -> Value {
    api.ask(&format!("GET /api/v1/executions/{run}"), Value::Null).expect_status(200)["status"].clone()
}

#[test]
fn a_link_shows_what_is_asked_decides_in_its_persons_name_and_only_once() {
    let mail = MockMailServer::start();
    let place = place_with(&mail);
    let api = HooksApi::of(&place);
    let (run, path) = link(&api, &mail);
    for _ in 0..2 {
        let page = api.server.get(&path, None);
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("olga") && page.contains("250"), "{page}");
        assert!(page.contains("&lt;b&gt;now") && !page.contains("<b>now"), "what others wrote is text: {page}");
        assert!(page.contains("no-store") && page.contains("no-referrer") && !page.contains("<script"), "{page}");
    }
    assert_eq!(status(&api, &run), "waiting", "looking decides nothing");
    assert!(press(&api, &path, "reason=x").starts_with("HTTP/1.1 422"));
    let page = press(&api, &path, "decision=approve&reason=it+is+fine%21");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("approval is recorded"), "{page}");
    wait_for("it goes on", || (status(&api, &run) == "completed").then_some(()));
    assert!(press(&api, &path, "decision=reject").starts_with("HTTP/1.1 410"));
    assert!(press(&api, &path, "decision=approve").starts_with("HTTP/1.1 200"), "whoever missed it is told again");
    assert!(api.server.get(&path, None).starts_with("HTTP/1.1 410"));
    drop(api);
    let trail = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    let decided = trail["rows"].as_array().expect("rows").iter().find(|row| row["sent"] == false).cloned();
    assert_eq!(decided.expect("a row")["user_id"], "olga");
}

#[test]
fn a_link_is_good_for_nothing_else() {
    let mail = MockMailServer::start();
    let api = HooksApi::of(&place_with(&mail));
    let (run, path) = link(&api, &mail);
    let secret = path.rsplit_once('.').expect("a token").1;
    for other in [format!("/decide/other.{secret}"), "/decide/default.x".to_owned(), "/decide/x".to_owned()] {
        assert!(api.server.get(&other, None).starts_with("HTTP/1.1 404"), "{other}");
        assert!(press(&api, &other, "decision=approve").starts_with("HTTP/1.1 404"), "{other}");
    }
    api.ask(&format!("POST /api/v1/executions/{run}/cancel"), json!({})).expect_status(200);
    assert!(press(&api, &path, "decision=approve").starts_with("HTTP/1.1 410"), "it waits no more");
    let spanish = api.server.send(&format!("GET {path}"), "Accept-Language: es-ES,es;q=0.9\r\n", "");
    assert!(spanish.contains("lang=\"es\"") && spanish.contains("ya no espera"), "{spanish}");
}
