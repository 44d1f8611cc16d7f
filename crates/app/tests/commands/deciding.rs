//! Who may decide, from outside: links that are delivered to their person, roles and skills, and what is offered to whom.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::place::Place;
use crate::server::{Answer, Server, until};

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

/// A mail server that takes every letter, in the clear.
pub struct MailServer {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let letters = Arc::<Mutex<Vec<String>>>::default();
        let all = letters.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever sent may have gone away.
                let _ = converse(stream, &all);
            }
        });
        Self { port, letters }
    }

    /// For `baton.toml`.
    pub fn settings(&self) -> String {
        let from = "Baton <baton@example.com>";
        format!("[tools.email.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"{from}\"\n", self.port)
    }

    fn letters(&self) -> Vec<String> {
        self.letters.lock().expect("whole").clone()
    }

    /// The path of the link in the newest letter to this address.
    pub fn link_to(&self, address: &str) -> String {
        let letters = self.letters();
        let letter = letters.iter().rev().find(|letter| letter.contains(&format!("RCPT TO:<{address}>")));
        // As quoted-printable breaks lines.
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

struct World {
    place: Place,
    server: Server,
    mail: MailServer,
    admin: String,
}

impl World {
    fn new() -> Self {
        let mail = MailServer::start();
        let rule = "approval = true\napprovers = { need = 2, from = [\"olga\", \"paul\", \"rosa\"] }";
        let settings = format!("[tools.tool.pay_invoice]\n{rule}\n{}", mail.settings());
        let place = Place::with(&[
            ("baton.toml", &settings),
            ("tools/tools.yaml", TOOLS),
            ("workflows/pay.yaml", PAY),
            ("workflows/ship.yaml", SHIP),
            ("workflows/address.yaml", ADDRESS),
        ]);
        let server = Server::start(&place);
        let admin = server.key().expect("a key").to_owned();
        Self { place, server, mail, admin }
    }

    fn key(&self, name: &str, role: &str) -> String {
        let made = self.ask("POST /api/v1/keys", &self.admin, &json!({ "name": name, "role": role })).ends(201);
        made["key"].as_str().expect("a key").to_owned()
    }

    fn ask(&self, request: &str, key: &str, body: &Value) -> Answer {
        self.server.ask(request, key, "", body)
    }

    fn registers(&self, person: &str, more: Value) {
        let mut body = json!({ "name": person, "email": format!("{person}@example.com") });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.ask(&format!("PUT /api/v1/human-agents/{person}"), &self.admin, &body).ends(200);
    }

    /// Begins a run under this key; the id of what it asks, for addresses.
    fn begins(&self, key: &str, workflow: &str) -> (String, String) {
        let begun = json!({ "workflow_id": workflow });
        let run = self.ask("POST /api/v1/workflows/execute", key, &begun).ends(202)["execution_id"].clone();
        let run = run.as_str().expect("an id").to_owned();
        let item = until("it waits", || {
            let desk = self.ask("GET /api/v1/desk?limit=500", &self.admin, &Value::Null).ends(200);
            let items = desk["items"].as_array().expect("items").clone();
            items.into_iter().find(|item| item["run"] == *run)
        });
        (run, item["id"].as_str().expect("an id").replace('/', "%2F"))
    }

    fn sends_link(&self, key: &str, request: &str, person: &str) -> Answer {
        self.ask(&format!("POST /api/v1/approvals/{request}/links"), key, &json!({ "person": person }))
    }

    fn press(&self, path: &str, form: &str) -> String {
        self.server.send(&format!("POST {path}"), "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    fn state(&self, run: &str) -> Value {
        self.ask(&format!("GET /api/v1/executions/{run}"), &self.admin, &Value::Null).ends(200)["status"].clone()
    }
}

#[test]
fn whoever_begins_a_charge_gets_no_link_to_see_and_the_people_asked_decide_by_their_own() {
    let world = World::new();
    for person in ["olga", "paul", "mallory"] {
        world.registers(person, json!({}));
    }
    let mallory = world.key("mallory", "operator");
    let (run, request) = world.begins(&mallory, "pay");
    for person in ["olga", "paul"] {
        let sent = world.sends_link(&mallory, &request, person);
        let (head, made) = (sent.head.clone(), sent.ends(201));
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
    until("it goes on", || (world.state(&run) == "completed").then_some(()));
    let everything = [
        world.ask("GET /api/v1/audit?limit=100", &world.admin, &Value::Null).ends(200).to_string(),
        world.ask(&format!("GET /api/v1/executions/{run}/journal"), &world.admin, &Value::Null).body.to_string(),
    ];
    let rows = &everything[0];
    assert!(rows.contains("\"link_asked_by\":\"mallory\"") && rows.contains("\"via\":\"link\""), "{rows}");
    let World { place, server, mail, .. } = world;
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
    let world = World::new();
    for person in ["olga", "paul", "mallory"] {
        world.registers(person, json!({}));
    }
    let (mallory, olga) = (world.key("mallory", "operator"), world.key("olga", "operator"));
    let (_, request) = world.begins(&mallory, "pay");
    let no = |key: &str, person: &str, code: &str| {
        let refused = world.sends_link(key, &request, person);
        assert_eq!(refused.body["code"], code, "{person}: {}", refused.body);
        refused
    };
    no(&mallory, "mallory", "RUN-015");
    no(&olga, "olga", "RUN-015");
    no(&olga, "mallory", "RUN-015");
    let nobody = no(&mallory, "rosa", "LINK_NO_CHANNEL").ends(409);
    assert!(nobody["hint"].as_str().expect("a way out").contains("PUT /api/v1/human-agents/rosa"), "{nobody}");
    assert_eq!(world.mail.letters().len(), 0);
    // Who is taken off the desk decides nothing by what was sent before.
    world.sends_link(&mallory, &request, "paul").ends(201);
    let path = world.mail.link_to("paul@example.com");
    world.ask("DELETE /api/v1/human-agents/paul", &world.admin, &Value::Null).ends(204);
    assert!(world.press(&path, "decision=approve").starts_with("HTTP/1.1 410"));
}

#[test]
fn a_link_is_its_persons_as_they_were_registered_and_reached_when_it_was_sent() {
    let world = World::new();
    world.registers("olga", json!({}));
    world.registers("paul", json!({}));
    let mallory = world.key("mallory", "operator");
    let (run, request) = world.begins(&mallory, "pay");
    let sent = |person: &str, address: &str| {
        world.sends_link(&mallory, &request, person).ends(201);
        world.mail.link_to(address)
    };
    let (olgas, pauls) = (sent("olga", "olga@example.com"), sent("paul", "paul@example.com"));
    // Another Olga, and a Paul who is reached elsewhere.
    world.ask("DELETE /api/v1/human-agents/olga", &world.admin, &Value::Null).ends(204);
    world.registers("olga", json!({}));
    world.registers("paul", json!({ "email": "paul@elsewhere.example" }));
    for path in [&olgas, &pauls] {
        let shown = world.server.get(path, None);
        assert!(shown.starts_with("HTTP/1.1 410") && shown.contains("LINK_PERSON_CHANGED"), "{shown}");
        let pressed = world.press(path, "decision=approve");
        assert!(pressed.starts_with("HTTP/1.1 410") && pressed.contains("LINK_PERSON_CHANGED"), "{pressed}");
    }
    let shown = world.ask(&format!("GET /api/v1/approvals/{request}"), &world.admin, &Value::Null).ends(200);
    assert_eq!(shown["approved_by"], json!([]), "nothing was decided");
    // Another link is theirs. What else is changed of a person changes nothing of it.
    let (olgas, pauls) = (sent("olga", "olga@example.com"), sent("paul", "paul@elsewhere.example"));
    world.registers("olga", json!({ "skills": ["law"] }));
    assert!(world.press(&olgas, "decision=approve").starts_with("HTTP/1.1 200"));
    // Hers was used before she moved: nobody is told that nothing was decided.
    world.registers("olga", json!({ "email": "olga@elsewhere.example" }));
    let again = world.press(&olgas, "decision=approve");
    assert!(again.starts_with("HTTP/1.1 410") && again.contains("This link was used"), "{again}");
    assert!(world.press(&pauls, "decision=approve").starts_with("HTTP/1.1 200"));
    until("it goes on", || (world.state(&run) == "completed").then_some(()));
}

#[test]
fn what_a_request_says_nothing_of_is_not_shown() {
    let world = World::new();
    world.registers("maria", json!({ "roles": ["manager"], "skills": ["finance"] }));
    let (_, request) = world.begins(&world.key("mallory", "operator"), "ship");
    world.sends_link(&world.key("operator", "operator"), &request, "maria").ends(201);
    let page = world.server.get(&world.mail.link_to("maria@example.com"), None);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Ship it?"), "{page}");
    assert!(!page.contains("{}") && !page.contains("<pre>"), "{page}");
}

#[test]
fn a_letter_that_nobody_delivers_is_no_link() {
    let place = Place::with(&[
        ("baton.toml", "[tools.tool.pay_invoice]\napproval = true\n"),
        ("tools/tools.yaml", TOOLS),
        ("workflows/pay.yaml", PAY),
    ]);
    let server = Server::start(&place);
    let mail = MailServer::start();
    let admin = server.key().expect("a key").to_owned();
    let world = World { place, server, mail, admin };
    world.registers("olga", json!({}));
    let (_, request) = world.begins(&world.key("mallory", "operator"), "pay");
    let refused = world.sends_link(&world.admin, &request, "olga").ends(409);
    assert_eq!(refused["code"], "LINK_NO_CHANNEL");
    assert!(refused["detail"].as_str().expect("why").contains("outbox"), "{refused}");
    let World { place, server, .. } = world;
    drop(server);
    let outbox = place.baton(&["outbox", "list", "--json"]).ends(0).json();
    assert!(!outbox.to_string().contains("/decide/"), "{outbox}");
}

#[test]
fn an_approval_is_for_who_has_the_role_and_the_skills_and_is_offered_to_nobody_else() {
    let world = World::new();
    world.registers("maria", json!({ "roles": ["manager"], "skills": ["finance", "law"] }));
    world.registers("mark", json!({ "roles": ["manager"] }));
    let (maria, mark, bob) =
        (world.key("maria", "human_agent"), world.key("mark", "human_agent"), world.key("bob", "human_agent"));
    let (run, request) = world.begins(&world.admin, "ship");
    let offered = |key: &str, path: &str| {
        let listed = world.ask(&format!("GET /api/v1/{path}"), key, &Value::Null).ends(200);
        listed["items"].as_array().expect("items").iter().map(|item| item["may"].clone()).collect::<Vec<_>>()
    };
    for key in [&bob, &mark] {
        assert_eq!(offered(key, "approvals"), [json!([])]);
        assert_eq!(offered(key, "approvals?mine=true"), [Value::Null; 0]);
        let shown = world.ask(&format!("GET /api/v1/approvals/{request}"), key, &Value::Null).ends(200);
        assert!(shown["why_not"].as_str().expect("why").contains("others are asked"), "{shown}");
        for act in ["approve", "reject"] {
            let refused = world.ask(&format!("POST /api/v1/approvals/{request}/{act}"), key, &json!({})).ends(403);
            assert_eq!(refused["code"], "RUN-015");
        }
        let claims = json!({ "to": "agree", "approve": true, "by": "maria" });
        assert_eq!(world.ask(&format!("POST /api/v1/executions/{run}/answer"), key, &claims).status, 422);
        let answer = json!({ "to": "agree", "approve": true });
        assert_eq!(world.ask(&format!("POST /api/v1/executions/{run}/answer"), key, &answer).status, 403);
    }
    let refused = world.ask(&format!("POST /api/v1/approvals/{request}/approve"), &mark, &json!({})).ends(403);
    let hint = refused["hint"].as_str().expect("a way out");
    assert!(hint.contains("the role and the skills") && hint.contains("PUT /api/v1/human-agents/NAME"), "{hint}");
    // Who began it may take it back, and a builder may look.
    assert_eq!(offered(&world.admin, "approvals"), [json!(["reject"])]);
    let builder = world.key("build", "builder");
    let shown = world.ask(&format!("GET /api/v1/approvals/{request}"), &builder, &Value::Null).ends(200);
    assert_eq!((&shown["may"], shown["why_not"].is_string()), (&json!([]), true));
    assert_eq!(offered(&maria, "approvals?mine=true"), [json!(["approve", "reject"])]);
    // By link, too, for who has both.
    assert_eq!(world.sends_link(&bob, &request, "maria").status, 403, "it takes an operator");
    let operator = world.key("operator", "operator");
    assert_eq!(world.sends_link(&operator, &request, "mark").ends(403)["code"], "RUN-015");
    world.sends_link(&operator, &request, "maria").ends(201);
    world.ask(&format!("POST /api/v1/approvals/{request}/approve"), &maria, &json!({})).ends(200);
    assert_eq!(world.state(&run), "completed");
}

#[test]
fn a_form_is_offered_to_who_is_asked() {
    let world = World::new();
    world.registers("maria", json!({ "roles": ["manager"] }));
    let (maria, bob) = (world.key("maria", "human_agent"), world.key("bob", "human_agent"));
    let (run, _) = world.begins(&world.admin, "address");
    let may = |key: &str| world.ask("GET /api/v1/desk", key, &Value::Null).ends(200)["items"][0]["may"].clone();
    assert_eq!((may(&maria), may(&bob)), (json!(["fill"]), json!([])));
    let fill = |key: &str| {
        let form = json!({ "to": "where", "form": { "street": "High Street" } });
        world.ask(&format!("POST /api/v1/executions/{run}/answer"), key, &form)
    };
    assert_eq!(fill(&bob).ends(403)["code"], "RUN-015");
    fill(&maria).ends(200);
}

#[test]
fn whoever_sets_up_or_starts_a_schedule_or_forks_a_run_asks_for_what_it_asks() {
    let world = World::new();
    let (olga, rosa) = (world.key("olga", "operator"), world.key("rosa", "operator"));
    let schedule = json!({ "name": "daily", "workflow_id": "pay", "cron": "0 0 1 1 *" });
    world.ask("POST /api/v1/schedules", &olga, &schedule).ends(201);
    let run = world.ask("POST /api/v1/schedules/daily/run", &rosa, &Value::Null).ends(202)["execution_id"].clone();
    let run = run.as_str().expect("an id");
    let approve = |key: &str, run: &str| {
        let item = until("it waits", || {
            let desk = world.ask("GET /api/v1/approvals?limit=500", key, &Value::Null).ends(200);
            let items = desk["items"].as_array().expect("items").clone();
            items.into_iter().find(|item| item["run"] == *run)
        });
        let item = item["id"].as_str().expect("an id").replace('/', "%2F");
        world.ask(&format!("POST /api/v1/approvals/{item}/approve"), key, &json!({})).body["code"].clone()
    };
    let failed = until("it ends, for only one of the three may allow it", || {
        let shown = world.ask(&format!("GET /api/v1/executions/{run}"), &world.admin, &Value::Null).ends(200);
        (shown["status"] == "failed").then_some(shown)
    });
    assert!(failed.to_string().contains("nobody allows what they asked for themselves"), "{failed}");
    let (begun, _) = world.begins(&world.admin, "pay");
    let fork = json!({ "node_id": "pay" });
    let forked = world.ask(&format!("POST /api/v1/executions/{begun}/fork"), &olga, &fork).ends(202);
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
    let place = Place::with(&[
        ("baton.toml", "[tools.tool.refund]\napproval = true\n"),
        ("tools/tools.yaml", tools),
        ("workflows/pays.yaml", "name: pays\nnodes: [{id: pay, tool: pay}]\n"),
        ("workflows/outer.yaml", "name: outer\nnodes: [{id: inner, type: subworkflow, workflow: pays}]\n"),
    ]);
    place.baton(&["run", "outer", "--id", "one"]).ends(0);
    place.baton(&["runs", "rollback", "one", "--by", "bob"]).ends(3);
    let listed = place.baton(&["approvals", "list", "--json"]).ends(0).json();
    let request = listed[0]["id"].as_str().expect("an id");
    assert!(request.starts_with("one/inner/pay"), "{request}");
    place.baton(&["approvals", "approve", request, "--as", "bob"]).ends(1).warns("refused[RUN-015]");
    place.baton(&["approvals", "approve", request, "--as", "rosa"]).says("compensated");
    place.baton(&["runs", "work"]).ends(0);
    assert_eq!(place.baton(&["runs", "show", "one", "--json"]).ends(0).json()["state"], "compensated");
}

#[test]
fn the_command_line_claims_a_name_and_no_role_or_skill() {
    let place = Place::with(&[("workflows/ship.yaml", SHIP)]);
    let who = "NAME is somebody with role `manager` and the skills `finance`";
    place.baton(&["run", "ship", "--id", "one"]).ends(3).says("runs answer one agree --approve --by NAME  #").says(who);
    place.baton(&["desk", "show", "one"]).ends(0).says("--as NAME  #").says(who);
    let approve = |who: &str| place.baton(&["approvals", "approve", "one", "--as", who]);
    approve("anybody_at_all").ends(1).warns("refused[RUN-015]");
    let put = |more: &[&str]| {
        let arguments = ["people", "put", "maria", "--email", "maria@example.com"];
        place
            .baton(&arguments.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
            .ends(0)
            .says("maria@example.com")
    };
    put(&["--role", "manager"]);
    approve("maria").ends(1).warns("refused[RUN-015]");
    put(&["--role", "manager", "--skill", "finance"]);
    let listed = place.baton(&["people", "list", "--json"]).ends(0).json();
    assert_eq!((&listed[0]["roles"], &listed[0]["skills"]), (&json!(["manager"]), &json!(["finance"])));
    approve("maria").ends(0).says("approved");
    let trail = place.baton(&["audit", "list", "--json"]).ends(0).json();
    let row = trail["rows"].as_array().expect("rows").iter().find(|row| row["user_id"] == "maria").expect("a row");
    assert_eq!(row["details"]["via"], "command_line");
    place.baton(&["people", "remove", "maria"]).ends(0);
    assert_eq!(place.baton(&["people", "list", "--json"]).ends(0).json(), json!([]));
}

#[test]
fn assignees_that_ask_nobody_are_found() {
    let wrong = ["7", "[]", "{}", "{role: 7}", "{roles: [manager]}", "[olga, 7]"];
    for assignees in wrong {
        let workflow = format!("name: w\nnodes: [{{id: ask, type: human, title: x, assignees: {assignees}}}]\n");
        let place = Place::with(&[("workflows/w.yaml", &workflow)]);
        place.baton(&["validate"]).ends(2).says("`assignees` asks nobody");
    }
}
