//! A server with two tenants, to test what one must not see of the other.

use serde_json::{Value, json};

use crate::server::{ApiAnswer, BatonServer};
use crate::test_folder::TestFolder;

/// A server, its own admin key, and the admin key of another tenant.
pub struct TwoTenants {
    pub place: TestFolder,
    pub server: BatonServer,
    pub own: String,
    pub theirs: String,
}

impl TwoTenants {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = TestFolder::with(files);
        let server = BatonServer::start(&place);
        let own = server.key().expect("a key").to_owned();
        let made = server.ask("POST /api/v1/tenants", &own, "", &json!({ "id": "acme" })).expect_status(201);
        let theirs = made["key"].as_str().expect("a key").to_owned();
        Self { place, server, own, theirs }
    }

    pub fn ask(&self, request: &str, key: &str, body: &Value) -> ApiAnswer {
        self.server.ask(request, key, "", body)
    }
}
