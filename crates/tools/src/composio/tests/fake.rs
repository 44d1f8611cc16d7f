//! A local fake of Composio, built from its documentation: actions in pages, connected accounts with a status, and
//! results of actions. It counts what it performed, whatever it responded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};

pub(super) const KEY: &str = "ak_s3cr3t";

/// The state of the fake.
#[derive(Default)]
pub(super) struct FakeComposioState {
    /// By toolkit.
    pub(super) actions: BTreeMap<&'static str, Vec<Value>>,
    /// By id: the user and the status.
    pub(super) accounts: BTreeMap<String, (String, &'static str)>,
    /// Whether refreshing renews an expired account; if not, a person must connect it again.
    pub(super) renews: bool,
    /// Responses to return from execute instead of an echo, used in order.
    pub(super) answers: Vec<CannedResponse>,
    /// Performed actions by slug: one entry each time the app was reached.
    pub(super) done: Vec<String>,
    pub(super) page: usize,
}

#[derive(Clone)]
pub(super) struct FakeComposio {
    pub(super) world: Arc<Mutex<FakeComposioState>>,
    pub(super) service: Arc<FakeService>,
}

impl FakeComposio {
    pub(super) async fn start(world: FakeComposioState) -> Self {
        let world = Arc::new(Mutex::new(world));
        let shared = world.clone();
        let service = FakeService::start(move |asked| says(&mut shared.lock().unwrap(), asked)).await;
        Self { world, service: Arc::new(service) }
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut FakeComposioState) -> T) -> T {
        act(&mut self.world.lock().unwrap())
    }

    pub(super) fn set(&self, account: &str, status: &'static str) {
        self.with(|world| world.accounts.get_mut(account).unwrap().1 = status);
    }

    /// Recorded requests whose path starts with this prefix.
    pub(super) fn asked(&self, method: &str, path: &str) -> Vec<RecordedRequest> {
        let is_wanted =
            |asked: &RecordedRequest| asked.method == method && asked.target.starts_with(&format!("/api/v3/{path}"));
        self.service.received().into_iter().filter(is_wanted).collect()
    }
}

pub(super) fn action(slug: &str, toolkit: &str, tags: &[&str]) -> Value {
    json!({
        "slug": slug, "name": slug, "description": format!("What {slug} does"), "tags": tags,
        "input_parameters": {
            "type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"], "title": slug,
        },
        "output_parameters": {"type": "object"}, "version": "20251027_00", "available_versions": ["00000000_00", "20251027_00"],
        "is_deprecated": false, "no_auth": false, "scopes": [], "toolkit": {"slug": toolkit, "name": toolkit, "logo": ""},
    })
}

fn fault(status: u16, code: u64, slug: &str, message: &str) -> CannedResponse {
    answer(
        status,
        &json!({"error": {
            "message": message, "code": code, "slug": slug, "status": status, "request_id": "req_1", "suggested_fix": "",
        }}),
    )
}

fn says(world: &mut FakeComposioState, asked: &RecordedRequest) -> CannedResponse {
    if asked.header("x-api-key") != Some(KEY) {
        return fault(401, 1, "HTTP_Unauthorized", "Invalid API key");
    }
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let parts: Vec<&str> = path.trim_start_matches("/api/v3/").split('/').collect();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["toolkits"]) => answer(200, &json!({"items": []})),
        ("GET", ["tools"]) => list(world, query),
        ("POST", ["tools", "execute", slug]) => execute(world, slug, &asked.json()),
        ("GET", ["connected_accounts", id]) => match world.accounts.get(*id) {
            Some((_, status)) => answer(
                200,
                &json!({"id": id, "status": status, "status_reason": null, "is_disabled": false, "toolkit": {"slug": "shopify"}}),
            ),
            None => fault(404, 604, "ConnectedAccount_ResourceNotFound", "Connected account not found"),
        },
        ("POST", ["connected_accounts", id, "refresh"]) => refresh(world, id),
        ("DELETE", ["connected_accounts", id]) => match world.accounts.remove(*id) {
            Some(_) => answer(200, &json!({"success": true})),
            None => fault(404, 604, "ConnectedAccount_ResourceNotFound", "Connected account not found"),
        },
        ("POST", ["connected_accounts", "link"]) => link(world, &asked.json()),
        ("GET", ["auth_configs"]) => answer(200, &json!({"items": [], "next_cursor": null})),
        ("POST", ["auth_configs"]) => answer(
            201,
            &json!({"toolkit": {"slug": "shopify"}, "auth_config": {"id": "ac_1", "auth_scheme": "OAUTH2", "is_composio_managed": true}}),
        ),
        _ => fault(404, 2, "HTTP_NotFound", "Not found"),
    }
}

fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn list(world: &FakeComposioState, query: &str) -> CannedResponse {
    let all = value(query, "toolkit_slug").and_then(|slug| world.actions.get(slug)).cloned().unwrap_or_default();
    if let Some(words) = value(query, "search") {
        let words: Vec<String> = words.split('+').map(str::to_uppercase).collect();
        let fits = |item: &Value| words.iter().all(|word| item["slug"].as_str().unwrap().contains(word.as_str()));
        let items: Vec<Value> = all.into_iter().filter(fits).collect();
        return answer(200, &json!({"items": items, "next_cursor": null}));
    }
    let size = if world.page == 0 { 1_000 } else { world.page };
    let from: usize = value(query, "cursor").map_or(0, |cursor| cursor.trim_start_matches("at").parse().unwrap());
    let items: Vec<Value> = all.iter().skip(from).take(size).cloned().collect();
    let next = (from + size < all.len()).then(|| format!("at{}", from + size));
    answer(
        200,
        &json!({"items": items, "next_cursor": next, "current_page": 1, "total_pages": 1, "total_items": all.len()}),
    )
}

fn execute(world: &mut FakeComposioState, slug: &str, body: &Value) -> CannedResponse {
    if !world.answers.is_empty() {
        let says = world.answers.remove(0);
        // The action was performed, even if the response gets lost.
        if !matches!(says, CannedResponse::Answer(400.., ..)) {
            world.done.push(slug.to_owned());
        }
        return says;
    }
    let Some(account) = body["connected_account_id"].as_str() else {
        return fault(404, 1810, "ActionExecute_ConnectedAccountNotFound", "No connected account found for this user");
    };
    match world.accounts.get(account) {
        None => fault(404, 1810, "ActionExecute_ConnectedAccountNotFound", "No connected account found for this user"),
        Some((user, _)) if body["user_id"] != **user => fault(
            400,
            1812,
            "ActionExecute_ConnectedAccountEntityIdMismatch",
            "Connected account user ID does not match the provided user ID.",
        ),
        Some((_, "EXPIRED")) => fault(
            400,
            1820,
            "ActionExecute_ConnectedAccountExpired",
            &format!("Connected account {account} is in EXPIRED state"),
        ),
        Some(_) => {
            world.done.push(slug.to_owned());
            answer(
                200,
                &json!({"data": {"did": slug, "arguments": body["arguments"]}, "error": null, "successful": true, "log_id": "log_1"}),
            )
        }
    }
}

fn refresh(world: &mut FakeComposioState, id: &str) -> CannedResponse {
    let renews = world.renews;
    match world.accounts.get_mut(id) {
        Some((_, status)) if renews => {
            *status = "ACTIVE";
            answer(200, &json!({"id": id, "status": "ACTIVE", "redirect_url": null}))
        }
        Some((_, status)) => {
            *status = "INITIATED";
            answer(200, &json!({"id": id, "status": "INITIATED", "redirect_url": "https://connect.example/again"}))
        }
        None => fault(404, 604, "ConnectedAccount_ResourceNotFound", "Connected account not found"),
    }
}

fn link(world: &mut FakeComposioState, body: &Value) -> CannedResponse {
    let id = format!("ca_{}", world.accounts.len() + 1);
    world.accounts.insert(id.clone(), (body["user_id"].as_str().unwrap().to_owned(), "INITIATED"));
    answer(
        201,
        &json!({
            "link_token": "lt_1", "redirect_url": format!("https://connect.example/{id}"),
            "expires_at": "2025-01-15T09:10:00Z", "connected_account_id": id,
        }),
    )
}
