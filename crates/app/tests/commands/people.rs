//! The people of the desk, from outside: who is there, what waits for them, and whose it is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::Place;
use crate::server::{Answer, Server};

const TOOLS: &str = "\
tools:
  - {name: echo, kind: script, class: read, results: [{output: {text: 'you said {{ arguments.text }}'}}]}
";
const ECHO: &str = "\
name: echo
nodes: [{id: echo, tool: echo, parameters: {text: '{{ input.message }}'}}]
";

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Desk {
    server: Server,
    admin: String,
    ana: String,
    bob: String,
}

impl Desk {
    fn of(place: &Place) -> Self {
        let server = Server::start(place);
        let admin = server.key().expect("a key").to_owned();
        let key = |name: &str| {
            let made = place.baton(&["keys", "create", name, "--role", "human_agent", "--json"]).ends(0).json();
            made["key"].as_str().expect("a secret").to_owned()
        };
        let (ana, bob) = (key("ana"), key("bob"));
        Self { server, admin, ana, bob }
    }

    fn ask(&self, request: &str, key: &str, body: &Value) -> Answer {
        self.server.ask(request, key, "", body)
    }

    fn puts(&self, id: &str, max_capacity: u32) -> Value {
        let body = json!({ "name": id, "email": format!("{id}@example.com"), "max_capacity": max_capacity });
        self.ask(&format!("PUT /api/v1/human-agents/{id}"), &self.admin, &body).ends(200)
    }

    fn is(&self, id: &str, key: &str, status: &str) -> Answer {
        self.ask(&format!("PUT /api/v1/human-agents/{id}/presence"), key, &json!({ "status": status }))
    }

    fn handed_over(&self) -> String {
        let body = json!({ "workflow_id": "echo", "message": "I want to speak to a human" });
        let begun = self.ask("POST /api/v1/conversations", &self.admin, &body).ends(200);
        begun["conversation_id"].as_str().expect("an id").to_owned()
    }

    fn posts(&self, id: &str, key: &str, number: &Value) -> Answer {
        let body = json!({ "text": "Hello, how can I help?", "number": number });
        self.ask(&format!("POST /api/v1/conversations/{id}/posts"), key, &body)
    }

    /// The conversation, once it is this person's.
    fn given_to(&self, id: &str, person: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let shown = self.ask(&format!("GET /api/v1/conversations/{id}"), &self.admin, &Value::Null).ends(200);
            if shown["assigned_agent_id"] == person {
                return shown;
            }
            assert!(Instant::now() < until, "{shown}");
        }
    }
}

fn place() -> Place {
    Place::with(&[("baton.toml", ""), ("tools/tools.yaml", TOOLS), ("workflows/echo.yaml", ECHO)])
}

#[test]
fn a_conversation_goes_to_who_is_there_and_to_the_next_when_they_leave() {
    let place = place();
    let desk = Desk::of(&place);
    desk.puts("ana", 1);
    desk.puts("bob", 1);
    let id = desk.handed_over();
    let until = Instant::now() + PATIENCE;
    let queue = loop {
        let queue = desk.ask("GET /api/v1/queue", &desk.ana, &Value::Null).ends(200);
        if queue["total"] == 1 {
            break queue;
        }
        assert!(Instant::now() < until, "{queue}");
    };
    let first = &queue["waiting"][0];
    assert_eq!((&first["conversation_id"], &first["place"]), (&json!(id), &json!(1)));
    assert_eq!(first["waits_for"], "nobody_is_online");

    assert_eq!(desk.is("ana", &desk.ana, "online").ends(200)["status"], "online");
    let anas = desk.given_to(&id, "ana")["number"].clone();
    assert_eq!(desk.posts(&id, &desk.bob, &anas).ends(409)["code"], "CONV-003", "it is not his");
    desk.posts(&id, &desk.ana, &anas).ends(200);

    desk.is("bob", &desk.bob, "online").ends(200);
    desk.is("ana", &desk.ana, "offline").ends(200);
    let bobs = desk.given_to(&id, "bob")["number"].clone();
    assert!(bobs.as_u64() > anas.as_u64());
    assert_eq!(desk.posts(&id, &desk.ana, &anas).ends(409)["code"], "CONV-003");
    assert_eq!(
        desk.posts(&id, &desk.ana, &bobs).ends(409)["code"],
        "CONV-003",
        "a number alone makes nobody the owner"
    );
    assert_eq!(desk.posts(&id, &desk.bob, &anas).ends(409)["code"], "CONV-004");
    desk.posts(&id, &desk.bob, &bobs).ends(200);

    let pass = |key: &str, number: &Value| {
        let body = json!({ "number": number, "person": "ana" });
        desk.ask(&format!("POST /api/v1/conversations/{id}/transfer"), key, &body)
    };
    assert_eq!(pass(&desk.ana, &bobs).ends(403)["code"], "FORBIDDEN");
    assert_eq!(pass(&desk.bob, &bobs).ends(409)["code"], "DESK-008", "she is not there");
    desk.is("ana", &desk.ana, "online").ends(200);
    assert_eq!(pass(&desk.bob, &anas).ends(409)["code"], "DESK-007");
    assert_eq!(pass(&desk.bob, &bobs).ends(200)["assigned_agent_id"], "ana");
    desk.given_to(&id, "ana");
}

#[test]
fn an_admin_says_who_is_on_the_desk_and_each_says_who_is_there_of_themselves() {
    let place = place();
    let desk = Desk::of(&place);
    let body = json!({ "name": "Ana", "email": "ana@example.com", "skills": ["returns"] });
    assert_eq!(desk.ask("PUT /api/v1/human-agents/ana", &desk.ana, &body).ends(403)["code"], "FORBIDDEN");
    let put = desk.ask("PUT /api/v1/human-agents/ana", &desk.admin, &body).ends(200);
    assert_eq!(
        (&put["status"], &put["max_capacity"], &put["skills"]),
        (&json!("offline"), &json!(5), &json!(["returns"]))
    );
    let wrong = json!({ "name": "Bob", "email": "ANA@example.com" });
    assert_eq!(desk.ask("PUT /api/v1/human-agents/bob", &desk.admin, &wrong).ends(409)["code"], "DESK-003");
    let wrong = json!({ "name": "Bob", "email": "bob@example.com", "max_capacity": 0 });
    assert_eq!(desk.ask("PUT /api/v1/human-agents/bob", &desk.admin, &wrong).ends(422)["code"], "DESK-001");

    assert_eq!(desk.is("ana", &desk.bob, "online").ends(403)["code"], "FORBIDDEN");
    assert_eq!(desk.is("ana", &desk.ana, "here").ends(422)["code"], "BODY_INVALID");
    assert_eq!(desk.is("bob", &desk.bob, "online").ends(404)["code"], "DESK-004");
    desk.is("ana", &desk.ana, "away").ends(200);
    let listed = desk.ask("GET /api/v1/human-agents", &desk.bob, &Value::Null).ends(200);
    assert_eq!(listed["human_agents"][0]["status"], "away");

    desk.ask("DELETE /api/v1/human-agents/ana", &desk.admin, &Value::Null).ends(204);
    assert_eq!(desk.ask("GET /api/v1/human-agents/ana", &desk.admin, &Value::Null).ends(404)["code"], "DESK-004");
}
