//! A server with two tenants, for what one of them must not see of the other.

use serde_json::{Value, json};

use crate::place::Place;
use crate::server::{Answer, Server};

/// A server, its own admin's key, and the admin's key of another tenant.
pub struct World {
    pub place: Place,
    pub server: Server,
    pub own: String,
    pub theirs: String,
}

impl World {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = Place::with(files);
        let server = Server::start(&place);
        let own = server.key().expect("a key").to_owned();
        let made = server.ask("POST /api/v1/tenants", &own, "", &json!({ "id": "acme" })).ends(201);
        let theirs = made["key"].as_str().expect("a key").to_owned();
        Self { place, server, own, theirs }
    }

    pub fn ask(&self, request: &str, key: &str, body: &Value) -> Answer {
        self.server.ask(request, key, "", body)
    }
}
