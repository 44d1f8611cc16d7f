//! End-to-end tests of who may decide: links that are delivered to their person, roles and skills, and the actions that
//! each caller is offered.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, wait_for};
use crate::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - {name: pay_invoice, kind: script, class: keyed, irreversible: paid, results: [{output: {receipt: R-1}}]}
";
const PAY: &str = "name: pay\nnodes: [{id: pay, tool: pay_invoice, parameters: {amount: 250}}]\n";
const SHIP: &str = "\
name: ship
nodes: [{id: agree, type: human, title: Ship it?, assignees: {role: manager, skills: [finance]}}]
";
const ADDRESS: &str = "\
name: address
nodes: [{id: where, type: human, title: Where to?, assignees: {role: manager}, form: {type: object}}]
";

/// A mail server that accepts every e-mail, without encryption.
pub struct MockMailServer {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl MockMailServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let letters = Arc::<Mutex<Vec<String>>>::default();
        let all = letters.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The sender may be gone.
                let _ = converse(stream, &all);
            }
        });
        Self { port, letters }
    }

    /// The section for `baton.toml`.
    pub fn settings(&self) -> String {
        let from = "Baton <baton@example.com>";
        format!("[tools.email.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"{from}\"\n", self.port)
    }

    fn letters(&self) -> Vec<String> {
        self.letters.lock().expect("whole").clone()
    }

    /// The path of the link in the newest e-mail to this address.
    pub fn link_to(&self, address: &str) -> String {
        let letters = self.letters();
        let letter = letters.iter().rev().find(|letter| letter.contains(&format!("RCPT TO:<{address}>")));
        // Undo the line breaks of quoted-printable.
        let letter = letter.expect("a letter").replace("=\r\n", "");
        let from = letter.find("/decide/").expect("a link");
        letter[from..].split_whitespace().next().expect("a path").to_owned()
    }
}

fn converse(stream: TcpStream, all: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut letter, mut is_data) = (String::new(), false);
    reader.get_mut().write_all(b"220 here\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        letter.push_str(&line);
        let answer: &[u8] = match (is_data, line.trim_end()) {
            (true, ".") => {
                is_data = false;
                all.lock().expect("whole").push(std::mem::take(&mut letter));
                b"250 taken\r\n"
            }
            (true, _) => continue,
            (false, "DATA") => {
                is_data = true;
                b"354 go on\r\n"
            }
            (false, "QUIT") => {
                reader.get_mut().write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            (false, _) => b"250 well\r\n",
        };
        reader.get_mut().write_all(answer)?;
    }
}

struct DecisionFixture {
    place: TestFolder,
    server: BatonServer,
    mail: MockMailServer,
    admin: String,
}

impl DecisionFixture {
    fn new() -> Self {
        let mail = MockMailServer::start();
        let rule = "approval = true\napprovers = { need = 2, from = [\"olga\", \"paul\", \"rosa\"] }";
        let settings = format!("[tools.tool.pay_invoice]\n{rule}\n{}", mail.settings());
        let place = TestFolder::with(&[
            ("baton.toml", &settings),
            ("tools/tools.yaml", TOOLS),
            ("workflows/pay.yaml", PAY),
            ("workflows/ship.yaml", SHIP),
            ("workflows/address.yaml", ADDRESS),
        ]);
        let server = BatonServer::start(&place);
        let admin = server.key().expect("a key").to_owned();
        Self { place, server, mail, admin }
    }

    fn key(&self, name: &str, role: &str) -> String {
        let made =
            self.ask("POST /api/v1/keys", &self.admin, &json!({ "name": name, "role": role })).expect_status(201);
        made["key"].as_str().expect("a key").to_owned()
    }

    fn ask(&self, request: &str, key: &str, body: &Value) -> ApiAnswer {
        self.server.ask(request, key, "", body)
    }

    fn put_person(&self, person: &str, more: Value) {
        let mut body = json!({ "name": person, "email": format!("{person}@example.com") });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.ask(&format!("PUT /api/v1/human-agents/{person}"), &self.admin, &body).expect_status(200);
    }

    /// Starts a run with this key. Returns the run's id and the id of its request, for paths.
    fn start_run(&self, key: &str, workflow: &str) -> (String, String) {
        let begun = json!({ "workflow_id": workflow });
        let run = self.ask("POST /api/v1/workflows/execute", key, &begun).expect_status(202)["execution_id"].clone();
        let run = run.as_str().expect("an id").to_owned();
        let item = wait_for("it waits", || {
            let desk = self.ask("GET /api/v1/desk?limit=500", &self.admin, &Value::Null).expect_status(200);
            let items = desk["items"].as_array().expect("items").clone();
            items.into_iter().find(|item| item["run"] == *run)
        });
        (run, item["id"].as_str().expect("an id").replace('/', "%2F"))
    }

    fn send_link(&self, key: &str, request: &str, person: &str) -> ApiAnswer {
        self.ask(&format!("POST /api/v1/approvals/{request}/links"), key, &json!({ "person": person }))
    }

    fn press(&self, path: &str, form: &str) -> String {
        self.server.send(&format!("POST {path}"), "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    fn state(&self, run: &str) -> Value {
        self.ask(&format!("GET /api/v1/executions/{run}"), &self.admin, &Value::Null).expect_status(200)["status"]
            .clone()
    }
}

#[test]
fn whoever_begins_a_charge_gets_no_link_to_see_and_the_people_asked_decide_by_their_own() {
    let world = DecisionFixture::new();
    for person in ["olga", "paul", "mallory"] {
        world.put_person(person, json!({}));
    }
    let mallory = world.key("mallory", "operator");
    let (run, request) = world.start_run(&mallory, "pay");
    for person in ["olga", "paul"] {
        let sent = world.send_link(&mallory, &request, person);
        let (head, made) = (sent.head.clone(), sent.expect_status(201));
        assert_eq!((&made["person"], &made["channel"]), (&json!(person), &json!("email")));
        let path = world.mail.link_to(&format!("{person}@example.com"));
        let secret = path.rsplit_once('.').expect("a token").1;
        assert!(!made.to_string().contains(secret) && !head.contains(secret), "the secret is the person's alone");
        assert!(!made.to_string().contains("/decide/"), "{made}");
    }
    assert_eq!(world.state(&run), "waiting");
    for person in ["olga", "paul"] {
        let path = world.mail.link_to(&format!("{person}@example.com"));
        let page = world.server.get(&path, None);
        assert!(page.contains("mallory"), "who had it sent is told: {page}");
        assert!(world.press(&path, "decision=approve").starts_with("HTTP/1.1 200"));
    }
    wait_for("it goes on", || (world.state(&run) == "completed").then_some(()));
    let everything = [
        world.ask("GET /api/v1/audit?limit=100", &world.admin, &Value::Null).expect_status(200).to_string(),
        world.ask(&format!("GET /api/v1/executions/{run}/journal"), &world.admin, &Value::Null).body.to_string(),
    ];
    let rows = &everything[0];
    assert!(rows.contains("\"link_asked_by\":\"mallory\"") && rows.contains("\"via\":\"link\""), "{rows}");
    let DecisionFixture { place, server, mail, .. } = world;
    drop(server);
    let cli = [place.baton(&["outbox", "list", "--json"]), place.baton(&["audit", "list", "--json"])];
    let said: Vec<String> = everything.into_iter().chain(cli.into_iter().map(|done| done.out)).collect();
    for person in ["olga", "paul"] {
        let path = mail.link_to(&format!("{person}@example.com"));
        let secret = path.rsplit_once('.').expect("a token").1;
        assert!(said.iter().all(|said| !said.contains(secret)), "the secret is in an answer");
    }
}

#[test]
fn neither_who_began_it_nor_who_has_the_link_sent_decides_by_it_and_no_channel_is_no_link() {
    let world = DecisionFixture::new();
    for person in ["olga", "paul", "mallory"] {
        world.put_person(person, json!({}));
    }
    let (mallory, olga) = (world.key("mallory", "operator"), world.key("olga", "operator"));
    let (_, request) = world.start_run(&mallory, "pay");
    let no = |key: &str, person: &str, code: &str| {
        let refused = world.send_link(key, &request, person);
        assert_eq!(refused.body["code"], code, "{person}: {}", refused.body);
        refused
    };
    no(&mallory, "mallory", "RUN-015");
    no(&olga, "olga", "RUN-015");
    no(&olga, "mallory", "RUN-015");
    let nobody = no(&mallory, "rosa", "LINK_NO_CHANNEL").expect_status(409);
    assert!(nobody["hint"].as_str().expect("a way out").contains("PUT /api/v1/human-agents/rosa"), "{nobody}");
    assert_eq!(world.mail.letters().len(), 0);
    // A link that was sent earlier stops working once its person is removed.
    world.send_link(&mallory, &request, "paul").expect_status(201);
    let path = world.mail.link_to("paul@example.com");
    world.ask("DELETE /api/v1/human-agents/paul", &world.admin, &Value::Null).expect_status(204);
    assert!(world.press(&path, "decision=approve").starts_with("HTTP/1.1 410"));
}

#[test]
fn a_link_is_its_persons_as_they_were_registered_and_reached_when_it_was_sent() {
    let world = DecisionFixture::new();
    world.put_person("olga", json!({}));
    world.put_person("paul", json!({}));
    let mallory = world.key("mallory", "operator");
    let (run, request) = world.start_run(&mallory, "pay");
    let sent = |person: &str, address: &str| {
        world.send_link(&mallory, &request, person).expect_status(201);
        world.mail.link_to(address)
    };
    let (olgas, pauls) = (sent("olga", "olga@example.com"), sent("paul", "paul@example.com"));
    // Another Olga, and a Paul with another address.
    world.ask("DELETE /api/v1/human-agents/olga", &world.admin, &Value::Null).expect_status(204);
    world.put_person("olga", json!({}));
    world.put_person("paul", json!({ "email": "paul@elsewhere.example" }));
    for path in [&olgas, &pauls] {
        let shown = world.server.get(path, None);
        assert!(shown.starts_with("HTTP/1.1 410") && shown.contains("LINK_PERSON_CHANGED"), "{shown}");
        let pressed = world.press(path, "decision=approve");
        assert!(pressed.starts_with("HTTP/1.1 410") && pressed.contains("LINK_PERSON_CHANGED"), "{pressed}");
    }
    let shown = world.ask(&format!("GET /api/v1/approvals/{request}"), &world.admin, &Value::Null).expect_status(200);
    assert_eq!(shown["approved_by"], json!([]), "nothing was decided");
    // A new link works. Changes of other fields of a person do not affect it.
    let (olgas, pauls) = (sent("olga", "olga@example.com"), sent("paul", "paul@elsewhere.example"));
    world.put_person("olga", json!({ "skills": ["law"] }));
    assert!(world.press(&olgas, "decision=approve").starts_with("HTTP/1.1 200"));
    // Her link was used before her address changed. The response must not suggest that nothing was decided.
    world.put_person("olga", json!({ "email": "olga@elsewhere.example" }));
    let again = world.press(&olgas, "decision=approve");
    assert!(again.starts_with("HTTP/1.1 410") && again.contains("This link was used"), "{again}");
    assert!(world.press(&pauls, "decision=approve").starts_with("HTTP/1.1 200"));
    wait_for("it goes on", || (world.state(&run) == "completed").then_some(()));
}

#[test]
fn what_a_request_says_nothing_of_is_not_shown() {
    let world = DecisionFixture::new();
    world.put_person("maria", json!({ "roles": ["manager"], "skills": ["finance"] }));
    let (_, request) = world.start_run(&world.key("mallory", "operator"), "ship");
    world.send_link(&world.key("operator", "operator"), &request, "maria").expect_status(201);
    let page = world.server.get(&world.mail.link_to("maria@example.com"), None);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Ship it?"), "{page}");
    assert!(!page.contains("{}") && !page.contains("<pre>"), "{page}");
}

#[test]
fn a_letter_that_nobody_delivers_is_no_link() {
    let place = TestFolder::with(&[
        ("baton.toml", "[tools.tool.pay_invoice]\napproval = true\n"),
        ("tools/tools.yaml", TOOLS),
        ("workflows/pay.yaml", PAY),
    ]);
    let server = BatonServer::start(&place);
    let mail = MockMailServer::start();
    let admin = server.key().expect("a key").to_owned();
    let world = DecisionFixture { place, server, mail, admin };
    world.put_person("olga", json!({}));
    let (_, request) = world.start_run(&world.key("mallory", "operator"), "pay");
    let refused = world.send_link(&world.admin, &request, "olga").expect_status(409);
    assert_eq!(refused["code"], "LINK_NO_CHANNEL");
    assert!(refused["detail"].as_str().expect("why").contains("outbox"), "{refused}");
    let DecisionFixture { place, server, .. } = world;
    drop(server);
    let outbox = place.baton(&["outbox", "list", "--json"]).expect_code(0).json();
    assert!(!outbox.to_string().contains("/decide/"), "{outbox}");
}

#[test]
fn an_approval_is_for_who_has_the_role_and_the_skills_and_is_offered_to_nobody_else() {
    let world = DecisionFixture::new();
    world.put_person("maria", json!({ "roles": ["manager"], "skills": ["finance", "law"] }));
    world.put_person("mark", json!({ "roles": ["manager"] }));
    let (maria, mark, bob) =
        (world.key("maria", "human_agent"), world.key("mark", "human_agent"), world.key("bob", "human_agent"));
    let (run, request) = world.start_run(&world.admin, "ship");
    let offered = |key: &str, path: &str| {
        let listed = world.ask(&format!("GET /api/v1/{path}"), key, &Value::Null).expect_status(200);
        listed["items"].as_array().expect("items").iter().map(|item| item["may"].clone()).collect::<Vec<_>>()
    };
    for key in [&bob, &mark] {
        assert_eq!(offered(key, "approvals"), [json!([])]);
        assert_eq!(offered(key, "approvals?mine=true"), [Value::Null; 0]);
        let shown = world.ask(&format!("GET /api/v1/approvals/{request}"), key, &Value::Null).expect_status(200);
        assert!(shown["why_not"].as_str().expect("why").contains("others are asked"), "{shown}");
        for act in ["approve", "reject"] {
            let refused =
                world.ask(&format!("POST /api/v1/approvals/{request}/{act}"), key, &json!({})).expect_status(403);
            assert_eq!(refused["code"], "RUN-015");
        }
        let claims = json!({ "to": "agree", "approve": true, "by": "maria" });
        assert_eq!(world.ask(&format!("POST /api/v1/executions/{run}/answer"), key, &claims).status, 422);
        let answer = json!({ "to": "agree", "approve": true });
        assert_eq!(world.ask(&format!("POST /api/v1/executions/{run}/answer"), key, &answer).status, 403);
    }
    let refused = world.ask(&format!("POST /api/v1/approvals/{request}/approve"), &mark, &json!({})).expect_status(403);
    let hint = refused["hint"].as_str().expect("a way out");
    assert!(hint.contains("the role and the skills") && hint.contains("PUT /api/v1/human-agents/NAME"), "{hint}");
    // The person who started the run may take the request back, and a builder may read it.
    assert_eq!(offered(&world.admin, "approvals"), [json!(["reject"])]);
    let builder = world.key("build", "builder");
    let shown = world.ask(&format!("GET /api/v1/approvals/{request}"), &builder, &Value::Null).expect_status(200);
    assert_eq!((&shown["may"], shown["why_not"].is_string()), (&json!([]), true));
    assert_eq!(offered(&maria, "approvals?mine=true"), [json!(["approve", "reject"])]);
    // Decision links work too, for a person with both the role and the skills.
    assert_eq!(world.send_link(&bob, &request, "maria").status, 403, "it takes an operator");
    let operator = world.key("operator", "operator");
    assert_eq!(world.send_link(&operator, &request, "mark").expect_status(403)["code"], "RUN-015");
    world.send_link(&operator, &request, "maria").expect_status(201);
    world.ask(&format!("POST /api/v1/approvals/{request}/approve"), &maria, &json!({})).expect_status(200);
    assert_eq!(world.state(&run), "completed");
}

#[test]
fn a_form_is_offered_to_who_is_asked() {
    let world = DecisionFixture::new();
    world.put_person("maria", json!({ "roles": ["manager"] }));
    let (maria, bob) = (world.key("maria", "human_agent"), world.key("bob", "human_agent"));
    let (run, _) = world.start_run(&world.admin, "address");
    let may =
        |key: &str| world.ask("GET /api/v1/desk", key, &Value::Null).expect_status(200)["items"][0]["may"].clone();
    assert_eq!((may(&maria), may(&bob)), (json!(["fill"]), json!([])));
    let fill = |key: &str| {
        let form = json!({ "to": "where", "form": { "street": "High Street" } });
        world.ask(&format!("POST /api/v1/executions/{run}/answer"), key, &form)
    };
    assert_eq!(fill(&bob).expect_status(403)["code"], "RUN-015");
    fill(&maria).expect_status(200);
}

#[test]
fn whoever_sets_up_or_starts_a_schedule_or_forks_a_run_asks_for_what_it_asks() {
    let world = DecisionFixture::new();
    let (olga, rosa) = (world.key("olga", "operator"), world.key("rosa", "operator"));
    let schedule = json!({ "name": "daily", "workflow_id": "pay", "cron": "0 0 1 1 *" });
    world.ask("POST /api/v1/schedules", &olga, &schedule).expect_status(201);
    let run =
        world.ask("POST /api/v1/schedules/daily/run", &rosa, &Value::Null).expect_status(202)["execution_id"].clone();
    let run = run.as_str().expect("an id");
    let approve = |key: &str, run: &str| {
        let item = wait_for("it waits", || {
            let desk = world.ask("GET /api/v1/approvals?limit=500", key, &Value::Null).expect_status(200);
            let items = desk["items"].as_array().expect("items").clone();
            items.into_iter().find(|item| item["run"] == *run)
        });
        let item = item["id"].as_str().expect("an id").replace('/', "%2F");
        world.ask(&format!("POST /api/v1/approvals/{item}/approve"), key, &json!({})).body["code"].clone()
    };
    let failed = wait_for("it ends, for only one of the three may allow it", || {
        let shown = world.ask(&format!("GET /api/v1/executions/{run}"), &world.admin, &Value::Null).expect_status(200);
        (shown["status"] == "failed").then_some(shown)
    });
    assert!(failed.to_string().contains("nobody allows what they asked for themselves"), "{failed}");
    let (begun, _) = world.start_run(&world.admin, "pay");
    let fork = json!({ "node_id": "pay" });
    let forked = world.ask(&format!("POST /api/v1/executions/{begun}/fork"), &olga, &fork).expect_status(202);
    let forked = forked["execution_id"].as_str().expect("an id").to_owned();
    assert_eq!(approve(&olga, &begun), Value::Null);
    assert_eq!(approve(&olga, &forked), "RUN-015");
    assert_eq!(approve(&rosa, &forked), Value::Null);
}

#[test]
fn whoever_has_a_run_rolled_back_asks_for_what_its_children_undo() {
    let tools = "\
tools:
  - {name: pay, kind: script, class: keyed, compensation: {tool_name: refund}, results: [{output: {id: P-1}}]}
  - {name: refund, kind: script, class: keyed, results: [{output: {}}]}
";
    let place = TestFolder::with(&[
        ("baton.toml", "[tools.tool.refund]\napproval = true\n"),
        ("tools/tools.yaml", tools),
        ("workflows/pays.yaml", "name: pays\nnodes: [{id: pay, tool: pay}]\n"),
        ("workflows/outer.yaml", "name: outer\nnodes: [{id: inner, type: subworkflow, workflow: pays}]\n"),
    ]);
    place.baton(&["run", "outer", "--id", "one"]).expect_code(0);
    place.baton(&["runs", "rollback", "one", "--by", "bob"]).expect_code(3);
    let listed = place.baton(&["approvals", "list", "--json"]).expect_code(0).json();
    let request = listed[0]["id"].as_str().expect("an id");
    assert!(request.starts_with("one/inner/pay"), "{request}");
    place.baton(&["approvals", "approve", request, "--as", "bob"]).expect_code(1).expect_stderr("refused[RUN-015]");
    place.baton(&["approvals", "approve", request, "--as", "rosa"]).expect_stdout("compensated");
    place.baton(&["runs", "work"]).expect_code(0);
    assert_eq!(place.baton(&["runs", "show", "one", "--json"]).expect_code(0).json()["state"], "compensated");
}

#[test]
fn the_command_line_claims_a_name_and_no_role_or_skill() {
    let place = TestFolder::with(&[("workflows/ship.yaml", SHIP)]);
    let who = "NAME is somebody with role `manager` and the skills `finance`";
    place
        .baton(&["run", "ship", "--id", "one"])
        .expect_code(3)
        .expect_stdout("runs answer one agree --approve --by NAME  #")
        .expect_stdout(who);
    place.baton(&["desk", "show", "one"]).expect_code(0).expect_stdout("--as NAME  #").expect_stdout(who);
    let approve = |who: &str| place.baton(&["approvals", "approve", "one", "--as", who]);
    approve("anybody_at_all").expect_code(1).expect_stderr("refused[RUN-015]");
    let put = |more: &[&str]| {
        let arguments = ["people", "put", "maria", "--email", "maria@example.com"];
        place
            .baton(&arguments.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
            .expect_code(0)
            .expect_stdout("maria@example.com")
    };
    put(&["--role", "manager"]);
    approve("maria").expect_code(1).expect_stderr("refused[RUN-015]");
    put(&["--role", "manager", "--skill", "finance"]);
    let listed = place.baton(&["people", "list", "--json"]).expect_code(0).json();
    assert_eq!((&listed[0]["roles"], &listed[0]["skills"]), (&json!(["manager"]), &json!(["finance"])));
    approve("maria").expect_code(0).expect_stdout("approved");
    let trail = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    let row = trail["rows"].as_array().expect("rows").iter().find(|row| row["user_id"] == "maria").expect("a row");
    assert_eq!(row["details"]["via"], "command_line");
    place.baton(&["people", "remove", "maria"]).expect_code(0);
    assert_eq!(place.baton(&["people", "list", "--json"]).expect_code(0).json(), json!([]));
}

#[test]
fn assignees_that_ask_nobody_are_found() {
    let wrong = ["7", "[]", "{}", "{role: 7}", "{roles: [manager]}", "[olga, 7]"];
    for assignees in wrong {
        let workflow = format!("name: w\nnodes: [{{id: ask, type: human, title: x, assignees: {assignees}}}]\n");
        let place = TestFolder::with(&[("workflows/w.yaml", &workflow)]);
        place.baton(&["validate"]).expect_code(2).expect_stdout("`assignees` asks nobody");
    }
}
