//! End-to-end tests of human agents: who is online, the conversations that wait for them, and who owns each.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer, EventListener, StreamedEvent, wait_for};
use crate::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {}}]}
  - {name: echo, kind: script, class: read, results: [{output: {text: 'you said {{ arguments.text }}'}}]}
";
const ECHO: &str = "\
name: echo
nodes: [{id: echo, tool: echo, parameters: {text: '{{ input.message }}'}}]
";
const PAY: &str = "name: pay\nnodes: [{id: pay, tool: pay, parameters: {amount: 250}}]\n";
const SETTINGS: &str = "[tools.tool.pay]\napproval = true\n";

/// Time limit for any wait.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

struct PeopleApi {
    server: BatonServer,
    admin: String,
    ana: String,
    bob: String,
}

impl PeopleApi {
    fn of(place: &TestFolder) -> Self {
        let server = BatonServer::start(place);
        let admin = server.key().expect("a key").to_owned();
        let key = |name: &str| {
            let made = place.baton(&["keys", "create", name, "--role", "human_agent", "--json"]).expect_code(0).json();
            made["key"].as_str().expect("a secret").to_owned()
        };
        let (ana, bob) = (key("ana"), key("bob"));
        Self { server, admin, ana, bob }
    }

    fn ask(&self, request: &str, key: &str, body: &Value) -> ApiAnswer {
        self.server.ask(request, key, "", body)
    }

    fn put_person(&self, id: &str, max_capacity: u32) -> Value {
        let body = json!({ "name": id, "email": format!("{id}@example.com"), "max_capacity": max_capacity });
        self.ask(&format!("PUT /api/v1/human-agents/{id}"), &self.admin, &body).expect_status(200)
    }

    fn set_status(&self, id: &str, key: &str, status: &str) -> ApiAnswer {
        self.ask(&format!("PUT /api/v1/human-agents/{id}/presence"), key, &json!({ "status": status }))
    }

    fn handed_over(&self) -> String {
        let body = json!({ "workflow_id": "echo", "message": "I want to speak to a human" });
        let begun = self.ask("POST /api/v1/conversations", &self.admin, &body).expect_status(200);
        begun["conversation_id"].as_str().expect("an id").to_owned()
    }

    fn post_message(&self, id: &str, key: &str, number: &Value) -> ApiAnswer {
        let body = json!({ "text": "Hello, how can I help?", "number": number });
        self.ask(&format!("POST /api/v1/conversations/{id}/posts"), key, &body)
    }

    /// The conversation, once this person owns it.
    fn wait_for_owner(&self, id: &str, person: &str) -> Value {
        wait_for("it is theirs", || {
            let shown =
                self.ask(&format!("GET /api/v1/conversations/{id}"), &self.admin, &Value::Null).expect_status(200);
            (shown["assigned_agent_id"] == person).then_some(shown)
        })
    }
}

fn place() -> TestFolder {
    TestFolder::with(&[
        ("baton.toml", SETTINGS),
        ("tools/tools.yaml", TOOLS),
        ("workflows/echo.yaml", ECHO),
        ("workflows/pay.yaml", PAY),
    ])
}

#[test]
fn a_conversation_goes_to_who_is_there_and_to_the_next_when_they_leave() {
    let place = place();
    let desk = PeopleApi::of(&place);
    desk.put_person("ana", 1);
    desk.put_person("bob", 1);
    let id = desk.handed_over();
    let queue = wait_for("it waits", || {
        let queue = desk.ask("GET /api/v1/queue", &desk.ana, &Value::Null).expect_status(200);
        (queue["total"] == 1).then_some(queue)
    });
    let first = &queue["waiting"][0];
    assert_eq!((&first["conversation_id"], &first["place"]), (&json!(id), &json!(1)));
    assert_eq!(first["waits_for"], "nobody_is_online");

    assert_eq!(desk.set_status("ana", &desk.ana, "online").expect_status(200)["status"], "online");
    let anas = desk.wait_for_owner(&id, "ana")["number"].clone();
    assert_eq!(desk.post_message(&id, &desk.bob, &anas).expect_status(409)["code"], "CONV-003", "it is not his");
    desk.post_message(&id, &desk.ana, &anas).expect_status(200);

    desk.set_status("bob", &desk.bob, "online").expect_status(200);
    desk.set_status("ana", &desk.ana, "offline").expect_status(200);
    let bobs = desk.wait_for_owner(&id, "bob")["number"].clone();
    assert!(bobs.as_u64() > anas.as_u64());
    assert_eq!(desk.post_message(&id, &desk.ana, &anas).expect_status(409)["code"], "CONV-003");
    assert_eq!(
        desk.post_message(&id, &desk.ana, &bobs).expect_status(409)["code"],
        "CONV-003",
        "a number alone makes nobody the owner"
    );
    assert_eq!(desk.post_message(&id, &desk.bob, &anas).expect_status(409)["code"], "CONV-004");
    desk.post_message(&id, &desk.bob, &bobs).expect_status(200);

    let pass = |key: &str, number: &Value| {
        let body = json!({ "number": number, "person": "ana" });
        desk.ask(&format!("POST /api/v1/conversations/{id}/transfer"), key, &body)
    };
    assert_eq!(pass(&desk.ana, &bobs).expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(pass(&desk.bob, &bobs).expect_status(409)["code"], "DESK-008", "she is not there");
    desk.set_status("ana", &desk.ana, "online").expect_status(200);
    assert_eq!(pass(&desk.bob, &anas).expect_status(409)["code"], "DESK-007");
    assert_eq!(pass(&desk.bob, &bobs).expect_status(200)["assigned_agent_id"], "ana");
    desk.wait_for_owner(&id, "ana");
}

#[test]
fn an_admin_says_who_is_on_the_desk_and_each_says_who_is_there_of_themselves() {
    let place = place();
    let desk = PeopleApi::of(&place);
    let body = json!({ "name": "Ana", "email": "ana@example.com", "skills": ["returns"] });
    assert_eq!(desk.ask("PUT /api/v1/human-agents/ana", &desk.ana, &body).expect_status(403)["code"], "FORBIDDEN");
    let put = desk.ask("PUT /api/v1/human-agents/ana", &desk.admin, &body).expect_status(200);
    assert_eq!(
        (&put["status"], &put["max_capacity"], &put["skills"]),
        (&json!("offline"), &json!(5), &json!(["returns"]))
    );
    let wrong = json!({ "name": "Bob", "email": "ANA@example.com" });
    assert_eq!(desk.ask("PUT /api/v1/human-agents/bob", &desk.admin, &wrong).expect_status(409)["code"], "DESK-003");
    let wrong = json!({ "name": "Bob", "email": "bob@example.com", "max_capacity": 0 });
    assert_eq!(desk.ask("PUT /api/v1/human-agents/bob", &desk.admin, &wrong).expect_status(422)["code"], "DESK-001");

    assert_eq!(desk.set_status("ana", &desk.bob, "online").expect_status(403)["code"], "FORBIDDEN");
    assert_eq!(desk.set_status("ana", &desk.ana, "here").expect_status(422)["code"], "BODY_INVALID");
    assert_eq!(desk.set_status("bob", &desk.bob, "online").expect_status(404)["code"], "DESK-004");
    desk.set_status("ana", &desk.ana, "away").expect_status(200);
    let listed = desk.ask("GET /api/v1/human-agents", &desk.bob, &Value::Null).expect_status(200);
    assert_eq!(listed["human_agents"][0]["status"], "away");

    desk.ask("DELETE /api/v1/human-agents/ana", &desk.admin, &Value::Null).expect_status(204);
    assert_eq!(
        desk.ask("GET /api/v1/human-agents/ana", &desk.admin, &Value::Null).expect_status(404)["code"],
        "DESK-004"
    );
}

#[test]
fn whatever_somebody_of_the_desk_does_is_a_sign_of_life() {
    let place = place();
    let desk = PeopleApi::of(&place);
    // With this setting, activity is recorded at most every 8 s.
    desk.ask("PUT /api/v1/desk/settings", &desk.admin, &json!({ "unheard_after_ms": 40_000 })).expect_status(200);
    desk.put_person("ana", 1);
    desk.set_status("ana", &desk.ana, "online").expect_status(200);
    let id = desk.handed_over();
    let anas = desk.wait_for_owner(&id, "ana")["number"].clone();
    let active = || {
        let shown = desk.ask("GET /api/v1/human-agents/ana", &desk.admin, &Value::Null).expect_status(200);
        assert_eq!(shown["status"], "online", "she is heard of all the time: {shown}");
        shown["last_active"].as_str().expect("an instant").to_owned()
    };
    let note = json!({ "text": "a note" });
    for act in ["notes", "posts"] {
        let (before, until) = (active(), Instant::now() + WAIT_LIMIT);
        while active() == before {
            assert!(Instant::now() < until, "`{act}` is no sign of life");
            match act {
                "notes" => drop(
                    desk.ask(&format!("POST /api/v1/conversations/{id}/notes"), &desk.ana, &note).expect_status(200),
                ),
                _ => drop(desk.post_message(&id, &desk.ana, &anas).expect_status(200)),
            }
            // Slow enough for the rate limit of her key.
            std::thread::sleep(Duration::from_millis(400));
        }
    }
    // A rejected request is not activity, and a person without a profile has none.
    desk.post_message(&id, &desk.bob, &anas).expect_status(409);
    desk.ask(&format!("POST /api/v1/conversations/{id}/notes"), &desk.bob, &note).expect_status(200);
    let listed = desk.ask("GET /api/v1/human-agents", &desk.admin, &Value::Null).expect_status(200);
    assert_eq!(listed["human_agents"].as_array().expect("people").len(), 1);
}

/// The next event of this kind.
fn next_of(listener: &mut EventListener, kind: &str) -> StreamedEvent {
    loop {
        let event = listener.next().expect("an event");
        if event.kind == kind {
            return event;
        }
    }
}

#[test]
fn who_follows_the_desk_is_told_what_happens_there_and_comes_back_without_hearing_it_twice() {
    let place = place();
    let desk = PeopleApi::of(&place);
    desk.put_person("ana", 1);
    let mut listener = desk.server.listen("/api/v1/desk/events", &desk.ana, "");
    let state = listener.next().expect("an event");
    assert_eq!((state.kind.as_str(), &state.data["offline"], &state.data["waiting"]), ("state", &json!(1), &json!(0)));
    assert_eq!(next_of(&mut listener, "items").data["open"], json!([]));

    let id = desk.handed_over();
    let queued = next_of(&mut listener, "queued");
    assert_eq!((&queued.data["conversation_id"], &queued.data["priority"]), (&json!(id), &json!("normal")));
    desk.set_status("ana", &desk.ana, "online").expect_status(200);
    let there = next_of(&mut listener, "presence");
    assert_eq!((&there.data["human_agent_id"], &there.data["status"]), (&json!("ana"), &json!("online")));
    let assigned = next_of(&mut listener, "assigned");
    assert_eq!((&assigned.data["conversation_id"], &assigned.data["assigned_agent_id"]), (&json!(id), &json!("ana")));
    assert_eq!(next_of(&mut listener, "state").data["with_people"], 1);

    let last = assigned.id.expect("a place");
    desk.set_status("ana", &desk.ana, "offline").expect_status(200);
    let gone = next_of(&mut listener, "requeued");
    assert_eq!((&gone.data["why"], &gone.data["assigned_agent_id"]), (&json!("offline"), &json!("ana")));
    let mut back = desk.server.listen("/api/v1/desk/events", &desk.ana, &format!("Last-Event-ID: {last}\r\n"));
    let first = back.next().expect("an event");
    assert_eq!((first.kind.as_str(), &first.data["status"]), ("presence", &json!("offline")), "{:?}", first.data);
    assert_eq!(back.next().expect("an event").id, gone.id);

    let run = json!({ "workflow_id": "pay", "input_data": {} });
    desk.ask("POST /api/v1/workflows/execute", &desk.admin, &run).expect_status(202);
    let opened = next_of(&mut listener, "item_opened").data;
    let item = opened["id"].as_str().expect("an id").to_owned();
    let decide = format!("POST /api/v1/approvals/{}/reject", item.replace('/', "%2F"));
    desk.ask(&decide, &desk.ana, &json!({})).expect_status(200);
    assert_eq!(next_of(&mut listener, "item_closed").data["id"], json!(item));
    let wrong = desk.server.ask("GET /api/v1/desk/events", &desk.ana, "Last-Event-ID: x\r\n", &Value::Null);
    assert_eq!(wrong.expect_status(400)["code"], "PARAMETER_INVALID");
}

#[test]
fn an_admin_sets_the_desks_deadlines_and_chains() {
    let place = place();
    let desk = PeopleApi::of(&place);
    let put = |key: &str, body: &Value| desk.ask("PUT /api/v1/desk/settings", key, body);
    let shown = || desk.ask("GET /api/v1/desk/settings", &desk.bob, &Value::Null).expect_status(200);
    let usual = shown();
    assert_eq!(
        (&usual["first_response_ms"], &usual["late_response"][2]["act"]),
        (&json!(300_000), &json!("drop_skills"))
    );
    let chain = json!([{ "after_ms": 600_000, "act": "tell" }, { "after_ms": 900_000, "act": "drop_skills" }]);
    let settings = json!({ "first_response_ms": 600_000, "nobody": chain });
    assert_eq!(put(&desk.ana, &settings).expect_status(403)["code"], "FORBIDDEN");
    let set = put(&desk.admin, &settings).expect_status(200);
    assert_eq!((&set["first_response_ms"], &set["nobody"]), (&json!(600_000), &chain));
    assert_eq!(shown(), set);
    let id = desk.handed_over();
    let waiting = wait_for("it waits", || {
        let queue = desk.ask("GET /api/v1/queue", &desk.ana, &Value::Null).expect_status(200);
        (queue["total"] == 1).then(|| queue["waiting"][0].clone())
    });
    assert_eq!(waiting["conversation_id"], json!(id));
    let at = |name: &str| waiting[name].as_str().expect("a text").parse::<jiff::Timestamp>().expect("an instant");
    let within = at("first_response_by").duration_since(at("waiting_since"));
    assert!((600..1_200).contains(&within.as_secs()), "{waiting}");
    let endless = json!({ "nobody": [{ "after_ms": 0, "act": "tell" }] });
    assert_eq!(put(&desk.admin, &endless).expect_status(422)["code"], "DESK-001");
    assert_eq!(put(&desk.admin, &json!({ "first_respons_ms": 1 })).expect_status(422)["code"], "BODY_INVALID");
    assert_eq!(shown(), set, "what is refused changes nothing");
}

#[test]
fn a_conversation_brings_its_own_urgency_and_deadlines_and_people_change_them() {
    let place = place();
    place.write(
        "workflows/hand.yaml",
        "name: hand\nnodes:\n  - {id: echo, tool: echo, parameters: {text: '{{ input.message }}'}}\n  \
         - {id: over, type: sink, action: handover_to_human, config: {reason: angry, priority: high, \
         first_response_ms: 600000}}\nedges: [{from: echo, to: over}]\n",
    );
    let desk = PeopleApi::of(&place);
    let begin = |body: Value| desk.ask("POST /api/v1/conversations", &desk.admin, &body);
    let waiting = |id: &str, is_so: &dyn Fn(&Value) -> bool| {
        wait_for("it stands in line", || {
            let queue = desk.ask("GET /api/v1/queue", &desk.ana, &Value::Null).expect_status(200);
            let all = queue["waiting"].as_array().expect("a list").clone();
            let place = all.iter().position(|one| one["conversation_id"] == id && is_so(one))?;
            Some((place, all[place].clone()))
        })
    };
    let seconds = |waiting: &Value, name: &str| {
        let at = |name: &str| waiting[name].as_str().expect("a text").parse::<jiff::Timestamp>().expect("an instant");
        at(name).duration_since(at("waiting_since")).as_secs()
    };
    let wants = json!({ "workflow_id": "echo", "message": "I want to speak to a human", "priority": "urgent",
        "first_response_ms": 1_200_000 });
    let urgent = begin(wants).expect_status(200);
    let level = json!({ "priority": "urgent", "first_response_ms": 1_200_000, "resolution_ms": null });
    assert_eq!(urgent["service_level"], level);
    let urgent = urgent["conversation_id"].as_str().expect("an id").to_owned();
    let (_, shown) = waiting(&urgent, &|_| true);
    assert_eq!((&shown["priority"], seconds(&shown, "first_response_by")), (&json!("urgent"), 1_200), "{shown}");

    // The service level in the workflow's sink applies from then on.
    let handed = begin(json!({ "workflow_id": "hand", "message": "x", "priority": "low" })).expect_status(200);
    assert_eq!(handed["handover_context"]["service_level"]["priority"], "high", "{handed}");
    let handed = handed["conversation_id"].as_str().expect("an id").to_owned();
    let (place_of_handed, shown) = waiting(&handed, &|_| true);
    assert_eq!((place_of_handed, &shown["priority"], seconds(&shown, "first_response_by")), (1, &json!("high"), 600));

    // A person overrides it, which changes the queue position and the deadlines.
    let promise = |id: &str, key: &str, body: Value| {
        desk.ask(&format!("POST /api/v1/conversations/{id}/service-level"), key, &body)
    };
    let told = promise(&urgent, &desk.ana, json!({ "priority": "low", "resolution_ms": 3_600_000 })).expect_status(200);
    let level = json!({ "priority": "low", "first_response_ms": 1_200_000, "resolution_ms": 3_600_000 });
    assert_eq!(told["service_level"], level);
    let (now_last, shown) = waiting(&urgent, &|one| one["priority"] == "low");
    assert_eq!((now_last, seconds(&shown, "resolve_by"), seconds(&shown, "first_response_by")), (1, 3_600, 1_200));

    // A deadline that has already passed is a breach.
    let mut listener = desk.server.listen("/api/v1/desk/events", &desk.ana, "");
    promise(&handed, &desk.ana, json!({ "first_response_ms": 1_000 })).expect_status(200);
    // On a slow machine an earlier event reports that no person was available for too long.
    let mut escalated = std::iter::repeat_with(|| next_of(&mut listener, "escalated").data);
    let escalated = escalated.find(|told| told["breach"] == "first_response").expect("an event");
    assert_eq!((&escalated["conversation_id"], &escalated["breach"]), (&json!(handed), &json!("first_response")));

    for wrong in
        [json!({}), json!({ "priority": "asap" }), json!({ "first_response_ms": 5 }), json!({ "resolution_ms": -1 })]
    {
        assert_eq!(promise(&urgent, &desk.ana, wrong.clone()).expect_status(422)["code"], "BODY_INVALID", "{wrong}");
    }
    let wrong = begin(json!({ "workflow_id": "echo", "message": "x", "first_response_ms": 5 })).expect_status(422);
    assert!(wrong["detail"].as_str().expect("words").contains("1000 to 2592000000"), "{wrong}");
    let clerk = place.baton(&["keys", "create", "shop", "--role", "service", "--json"]).expect_code(0).json();
    let clerk = clerk["key"].as_str().expect("a key").to_owned();
    promise(&urgent, &clerk, json!({ "priority": "low" })).expect_status(403);
}
