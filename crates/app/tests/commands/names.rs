//! Names of keys, people, tenants and customers: no two look the same, and none is a reserved name of the system.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer};
use crate::test_folder::TestFolder;

const TALK: &str = "name: talk\nnodes: [{id: say, type: transform, set: {text: '\"Hello\"'}}]\n";
/// Invalid names, each with a part of the error message.
const UNFIT: [(&str, &str); 8] = [
    (" ana", "white space"),
    ("ana ", "white space"),
    ("\u{a0}ana", "white space"),
    ("ana\u{3000}", "white space"),
    ("an\u{a0}a", "U+00A0"),
    ("an\na", "U+000A"),
    ("an\u{200b}a", "U+200B"),
    ("an\u{202e}a", "U+202E"),
];
const OWN: [&str; 6] = ["deadline", "Deadline", "command line", "retention", "schedule daily", "webhook in"];

struct NamesFixture {
    place: TestFolder,
    server: BatonServer,
    admin: String,
}

impl NamesFixture {
    fn new() -> Self {
        let place = TestFolder::with(&[("workflows/talk.yaml", TALK)]);
        let server = BatonServer::start(&place);
        let admin = server.key().expect("a key").to_owned();
        Self { place, server, admin }
    }

    fn ask(&self, request: &str, body: &Value) -> ApiAnswer {
        self.server.ask(request, &self.admin, "", body)
    }

    /// The request is rejected with 422 for this field and with this message.
    fn refuses(&self, request: &str, body: &Value, field: &str, why: &str) {
        let refused = self.ask(request, body).expect_status(422);
        let detail = refused["detail"].as_str().expect("why");
        assert!(detail.contains(&format!("`{field}`")) && detail.contains(why), "{request} {body}: {refused}");
    }
}

#[test]
fn a_key_a_person_and_a_tenant_have_names_that_people_tell_apart() {
    let world = NamesFixture::new();
    for (name, why) in UNFIT {
        world.refuses("POST /api/v1/keys", &json!({ "name": name, "role": "service" }), "name", why);
        world.refuses("POST /api/v1/tenants", &json!({ "id": "acme", "name": name }), "name", why);
        let person = json!({ "name": name, "email": "ana@example.com" });
        world.refuses("PUT /api/v1/human-agents/ana", &person, "name", why);
        world.place.baton(&["keys", "create", name]).expect_code(2).expect_stderr(why);
    }
    world.refuses(
        "PUT /api/v1/human-agents/ana",
        &json!({ "name": "Ana", "email": "a\u{7}@b.example" }),
        "email",
        "U+0007",
    );
    world.ask("POST /api/v1/keys", &json!({ "name": "Ana María", "role": "service" })).expect_status(201);
    world.ask("POST /api/v1/tenants", &json!({ "id": "acme", "name": "Acme & Söhne" })).expect_status(201);
    world.refuses("PUT /api/v1/tenants/acme", &json!({ "name": "Acme " }), "name", "white space");
}

#[test]
fn nobody_goes_by_a_name_under_which_the_house_itself_acts() {
    let world = NamesFixture::new();
    for own in OWN {
        world.refuses("POST /api/v1/keys", &json!({ "name": own, "role": "operator" }), "name", "reserved");
        world.place.baton(&["keys", "create", own]).expect_code(2).expect_stderr("reserved");
    }
    let person = json!({ "name": "Ana", "email": "ana@example.com" });
    world.refuses("PUT /api/v1/human-agents/deadline", &person, "id", "reserved");
    let put = world.place.baton(&["people", "put", "deadline", "--email", "ana@example.com"]);
    put.expect_code(2).expect_stderr("reserved");
}

#[test]
fn customers_are_told_apart_and_a_first_message_says_something() {
    let world = NamesFixture::new();
    for (customer, why) in UNFIT {
        let talk = json!({ "workflow_id": "talk", "user_id": customer });
        world.refuses("POST /api/v1/conversations", &talk, "user_id", why);
        let talk = json!({ "workflow_id": "talk", "context": { "user_id": customer } });
        world.refuses("POST /api/v1/conversations", &talk, "context.user_id", why);
        for name in ["user_id", "customer_id"] {
            let run = json!({ "workflow_id": "talk", "context": { name: customer } });
            world.refuses("POST /api/v1/workflows/execute", &run, &format!("context.{name}"), why);
        }
    }
    for nothing in ["", " ", "\u{a0}\n"] {
        let talk = json!({ "workflow_id": "talk", "message": nothing });
        world.refuses("POST /api/v1/conversations", &talk, "message", "says nothing");
    }
    world.ask("POST /api/v1/conversations", &json!({ "workflow_id": "talk", "user_id": "ana" })).expect_status(200);
    let run = json!({ "workflow_id": "talk", "context": { "user_id": "Ana María 7" } });
    world.ask("POST /api/v1/workflows/execute", &run).expect_status(200);
}

#[test]
fn a_number_out_of_its_limits_is_told_them() {
    let world = NamesFixture::new();
    let begun = world.ask("POST /api/v1/conversations", &json!({ "workflow_id": "talk" })).expect_status(200);
    let rate = format!("POST /api/v1/conversations/{}/rate", begun["conversation_id"].as_str().expect("an id"));
    for score in [json!(0), json!(6), json!(300), json!(-1), json!("5")] {
        world.refuses(&rate, &json!({ "score": score }), "score", "from 1 to 5");
    }
    for expires_s in [json!(59), json!(-1), json!(2_592_001), json!(5_000_000_000_u64)] {
        let link = json!({ "person": "ana", "expires_s": expires_s });
        world.refuses("POST /api/v1/approvals/a/links", &link, "expires_s", "from 60 to 2592000");
    }
    for usd in [json!(-1), json!(2e9), json!("much")] {
        let limits = json!({ "hourly_usd": 1, "daily_usd": usd });
        world.refuses("PUT /api/v1/budgets/tenant", &limits, "daily_usd", "from 0 to 1000000000");
    }
}
