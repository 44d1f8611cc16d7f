//! Contacts and tickets at an external service: a real server here, which stores what it receives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_core::tool::{EffectClass, ToolInvocation, ToolOutcome};
use baton_expr::{JsonContext, ParamsDialect, ParamsTemplate};
use baton_ports::tools::ToolGateway;
use serde_json::{Map, Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, not_done, unknown};
use crate::{ToolRegistry, ToolsConfig};

/// The state of the fake service.
#[derive(Default)]
struct FakeRestState {
    objects: BTreeMap<String, Map<String, Value>>,
    keys: BTreeSet<String>,
    acts: usize,
    /// Acts, but sends no response.
    loses_answers: bool,
    /// Neither acts nor responds.
    is_down: bool,
}

type SharedRestState = Arc<Mutex<FakeRestState>>;

/// The service nests fields in `properties`, calls the city `address_city`, and acts once per key if there is one.
fn serve(kept: &SharedRestState, asked: &RecordedRequest) -> CannedResponse {
    let mut kept = kept.lock().unwrap();
    if asked.header("authorization") != Some("Bearer t0k3n") {
        return answer(401, &json!({"message": format!("who is {:?}?", asked.header("authorization"))}));
    }
    if kept.is_down {
        return CannedResponse::Disconnect;
    }
    let id = asked.target.trim_start_matches("/api/").split('/').nth(1).unwrap_or_default().to_owned();
    let again = asked.header("idempotency-key").is_some_and(|key| !kept.keys.insert(key.to_owned()));
    let told = |id: &str, kept: &FakeRestState| json!({"id": id, "properties": kept.objects[id]});
    match (asked.method.as_str(), id.as_str()) {
        ("GET", _) if kept.objects.contains_key(&id) => answer(200, &told(&id, &kept)),
        ("POST", "") => {
            if !again {
                kept.acts += 1;
                let fields = asked.json()["properties"].as_object().unwrap().clone();
                kept.objects.insert("7".to_owned(), fields);
            }
            if kept.loses_answers { CannedResponse::Disconnect } else { answer(201, &json!({"ticket": {"id": 7}})) }
        }
        ("PATCH", _) if kept.objects.contains_key(&id) || id == "new" => {
            if !again {
                kept.acts += 1;
                let changes = asked.json()["properties"].as_object().unwrap().clone();
                let fields = kept.objects.entry(id.clone()).or_default();
                for (name, value) in changes {
                    match value {
                        Value::Null => drop(fields.remove(&name)),
                        value => drop(fields.insert(name, value)),
                    }
                }
            }
            if kept.loses_answers { CannedResponse::Disconnect } else { answer(200, &told(&id, &kept)) }
        }
        _ => answer(404, &json!({"message": "no such thing"})),
    }
}

async fn other() -> (SharedRestState, FakeService) {
    let kept = SharedRestState::default();
    let ana = json!({"address_city": "Madrid", "vip": true});
    kept.lock().unwrap().objects.insert("ana".to_owned(), ana.as_object().unwrap().clone());
    let theirs = kept.clone();
    (kept, FakeService::start(move |asked| serve(&theirs, asked)).await)
}

fn settings(service: &FakeService, keyed: bool) -> Value {
    json!({
        "secrets": {"crm": "t0k3n"},
        "crm": {"rest": {
            "base_url": service.url("/api"), "token": "{{ secrets.crm }}", "within": "properties",
            "fields": {"city": "address_city"}, "idempotency_key": keyed,
        }},
        "tickets": {"rest": {
            "base_url": service.url("/api"), "token": "t0k3n", "within": "properties", "id": "ticket.id",
            "idempotency_key": keyed,
        }},
    })
}

/// Undoes a call as the catalogue describes.
async fn undo(world: &ToolsFixture, tool: &str, arguments: &Value, output: &Value) -> ToolOutcome {
    let call = undo_call(world, tool, arguments, output);
    world.send(&call).await.outcome
}

fn undo_call(world: &ToolsFixture, tool: &str, arguments: &Value, output: &Value) -> ToolInvocation {
    let facts = world.registry.facts(tool).unwrap();
    let compensation = facts.compensation.clone().unwrap();
    let root = json!({"output": output, "arguments": arguments});
    let parameters = ParamsTemplate::parse(&compensation.parameters, ParamsDialect::Edges).unwrap();
    let rendered = parameters.render(&JsonContext::timeless(&root)).unwrap();
    world.call(&format!("{tool}/0/undo"), &compensation.tool_name, rendered)
}

fn object(kept: &SharedRestState, id: &str) -> Value {
    kept.lock().unwrap().objects.get(id).cloned().map_or(Value::Null, Value::Object)
}

#[tokio::test]
async fn a_contact_is_changed_and_undone_to_what_it_was() {
    for (keyed, class) in [(true, EffectClass::Keyed), (false, EffectClass::Verify)] {
        let (kept, service) = other().await;
        let world = ToolsFixture::with(settings(&service, keyed));
        let before = object(&kept, "ana");
        let arguments = json!({"contact_id": "ana", "fields": {"city": "Sevilla", "vip": null, "since": 2025}});
        let call = world.call("update_crm/0", "update_crm", arguments.clone());
        assert_eq!(call.class, class);
        let output = done(world.send(&call).await.outcome);
        assert_eq!(object(&kept, "ana"), json!({"address_city": "Sevilla", "since": 2025}));
        assert_eq!(output["previous"], json!({"city": "Madrid", "vip": true, "since": null}));
        assert_eq!((&output["provider"], &output["created"]), (&json!("rest"), &json!(false)));
        done(undo(&world, "update_crm", &arguments, &output).await);
        assert_eq!(object(&kept, "ana"), before);
        let sent = service.received().into_iter().filter(|asked| asked.method == "PATCH").collect::<Vec<_>>();
        assert_eq!(sent[0].target, "/api/contacts/ana");
        assert_eq!(sent[0].header("idempotency-key").is_some(), keyed);
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_taken_for_what_was_there_before() {
    for keyed in [true, false] {
        let (kept, service) = other().await;
        let world = ToolsFixture::with(settings(&service, keyed));
        let arguments = json!({"contact_id": "ana", "fields": {"city": "Sevilla"}});
        let call = world.call("update_crm/0", "update_crm", arguments.clone());
        kept.lock().unwrap().loses_answers = true;
        unknown(world.send(&call).await.outcome);
        kept.lock().unwrap().loses_answers = false;
        let output = match keyed {
            true => done(world.send(&call).await.outcome),
            false => done(world.registry.look_up(&call, Duration::from_secs(5)).await),
        };
        assert_eq!(output["previous"], json!({"city": "Madrid"}));
        assert_eq!(kept.lock().unwrap().acts, 1);
        done(undo(&world, "update_crm", &arguments, &output).await);
        assert_eq!(object(&kept, "ana")["address_city"], "Madrid");
    }
}

#[tokio::test]
async fn a_change_that_never_arrived_is_found_not_to_have_been_made() {
    let (kept, service) = other().await;
    let world = ToolsFixture::with(settings(&service, false));
    let call = world.call("k", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Sevilla"}}));
    let look_up = async || world.registry.look_up(&call, Duration::from_secs(5)).await;
    not_done(look_up().await);
    world.done("k", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Sevilla"}})).await;
    kept.lock().unwrap().objects.get_mut("ana").unwrap().insert("address_city".to_owned(), "Madrid".into());
    assert!(not_done(look_up().await).1.contains("was not changed"));
    kept.lock().unwrap().is_down = true;
    unknown(look_up().await);
}

#[tokio::test]
async fn what_somebody_changed_since_is_left_as_it_is_and_said() {
    let (kept, service) = other().await;
    for world in [ToolsFixture::with(settings(&service, true)), ToolsFixture::new()] {
        let arguments = json!({"contact_id": "ana", "fields": {"city": "Sevilla"}});
        let output = world.done("update_crm/0", "update_crm", arguments.clone()).await;
        world.done("other", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Bilbao"}})).await;
        let (code, message) = not_done(undo(&world, "update_crm", &arguments, &output).await);
        assert_eq!(code, "CONTACT_CHANGED");
        assert!(message.contains("`city` was changed since"), "{message}");
        // Changes to other fields are no obstacle.
        let arguments = json!({"contact_id": "ana", "fields": {"vip": false}});
        let output = world.done("update_crm/1", "update_crm", arguments.clone()).await;
        let facts = world.registry.facts("update_crm").unwrap().compensation.clone().unwrap();
        let root = json!({"output": output, "arguments": arguments});
        let parameters = ParamsTemplate::parse(&facts.parameters, ParamsDialect::Edges).unwrap();
        world.done("update_crm/1/undo", "update_crm", parameters.render(&JsonContext::timeless(&root)).unwrap()).await;
    }
    assert_eq!(object(&kept, "ana"), json!({"address_city": "Bilbao", "vip": true}));
}

#[tokio::test]
async fn a_contact_of_our_own_that_was_made_is_not_there_once_it_is_undone() {
    let world = ToolsFixture::new();
    let arguments = json!({"contact_id": "new", "fields": {"city": "Sevilla"}});
    let output = world.done("update_crm/0", "update_crm", arguments.clone()).await;
    assert_eq!(output["created"], true);
    done(undo(&world, "update_crm", &arguments, &output).await);
    assert!(world.records.space("contacts").is_empty());
}

#[tokio::test]
async fn what_was_done_in_one_place_is_not_undone_in_another() {
    let (kept, service) = other().await;
    let (own, rest) = (ToolsFixture::new(), settings(&service, true));
    let arguments = json!({"contact_id": "ana", "fields": {"city": "Sevilla"}});
    // Done here before the service is configured: undone here.
    let output = own.done("update_crm/0", "update_crm", arguments.clone()).await;
    let after = ToolsFixture {
        registry: Arc::new(registry(&own, rest.clone())),
        records: own.records.clone(),
        clock: own.clock.clone(),
    };
    done(undo(&after, "update_crm", &arguments, &output).await);
    assert!(own.records.space("contacts").is_empty());
    assert_eq!(kept.lock().unwrap().acts, 0);
    let ticket = own.done("create_ticket/0", "create_ticket", json!({"subject": "x"})).await;
    done(undo(&after, "create_ticket", &Value::Null, &ticket).await);
    assert_eq!(own.records.space("tickets")[0]["status"], "closed");
    // Done at the service, and then no service or another one is configured.
    let there = ToolsFixture::with(rest);
    let output = there.done("update_crm/0", "update_crm", arguments.clone()).await;
    let (_, elsewhere) = other().await;
    for settings in [json!({}), settings(&elsewhere, true)] {
        let registry = Arc::new(registry(&there, settings));
        let after = ToolsFixture { registry, records: there.records.clone(), clock: there.clock.clone() };
        let (code, message) = not_done(undo(&after, "update_crm", &arguments, &output).await);
        assert_eq!(code, "PROVIDER_CHANGED");
        assert!(message.contains(&service.url("/api")), "{message}");
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn what_was_done_here_is_undone_here_though_the_service_that_was_chosen_since_promises_less() {
    let (kept, service) = other().await;
    let own = ToolsFixture::new();
    let arguments = json!({"contact_id": "ana", "fields": {"city": "Sevilla"}});
    let output = own.done("update_crm/0", "update_crm", arguments.clone()).await;
    // With the class that the run's version pinned.
    let call = undo_call(&own, "update_crm", &arguments, &output);
    assert_eq!(call.class, EffectClass::Keyed);
    let registry = Arc::new(registry(&own, settings(&service, false)));
    let after = ToolsFixture { registry, records: own.records.clone(), clock: own.clock.clone() };
    let mut outside = after.call("update_crm/1", "update_crm", arguments.clone());
    assert_eq!(outside.class, EffectClass::Verify);
    outside.class = EffectClass::Keyed;
    assert_eq!(not_done(after.send(&outside).await.outcome).0, "PROVIDER_CHANGED");
    done(after.send(&call).await.outcome);
    assert!(own.records.space("contacts").is_empty());
    assert!(service.received().is_empty() && kept.lock().unwrap().acts == 0);
}

fn registry(world: &ToolsFixture, settings: Value) -> ToolRegistry {
    let config: ToolsConfig = serde_json::from_value(settings).unwrap();
    ToolRegistry::new(config, &world.services()).unwrap()
}

#[tokio::test]
async fn a_ticket_is_opened_once_per_key_and_closed() {
    let (kept, service) = other().await;
    let world = ToolsFixture::with(settings(&service, true));
    let arguments = json!({"subject": "Package never arrived", "order_id": "12345"});
    let call = world.call("create_ticket/0", "create_ticket", arguments.clone());
    assert_eq!(call.class, EffectClass::Keyed);
    kept.lock().unwrap().loses_answers = true;
    unknown(world.send(&call).await.outcome);
    kept.lock().unwrap().loses_answers = false;
    let opened = done(world.send(&call).await.outcome);
    assert_eq!((&opened["ticket_id"], kept.lock().unwrap().acts), (&json!("7"), 1));
    let told = json!({"subject": "Package never arrived", "order_id": "12345", "priority": "normal"});
    assert_eq!(object(&kept, "7"), told);
    done(undo(&world, "create_ticket", &arguments, &opened).await);
    assert_eq!(object(&kept, "7")["status"], "closed");
    assert_eq!(world.refused("c", "close_ticket", json!({"ticket_id": "9"})).await.0, "TICKET_NOT_FOUND");
}

#[tokio::test]
async fn a_service_that_promises_nothing_is_told_once() {
    let (kept, service) = other().await;
    let world = ToolsFixture::with(settings(&service, false));
    let call = world.call("k", "create_ticket", json!({"subject": "x"}));
    assert_eq!(call.class, EffectClass::Once);
    kept.lock().unwrap().loses_answers = true;
    unknown(world.send(&call).await.outcome);
    assert_eq!(service.received()[0].header("idempotency-key"), None);
}

#[tokio::test]
async fn the_token_is_in_no_message_and_its_absence_is_named() {
    let (_, service) = other().await;
    let mut wrong = settings(&service, true);
    wrong["secrets"]["crm"] = json!("wr0ng-t0k3n");
    let world = ToolsFixture::with(wrong);
    let (code, message) =
        world.refused("k", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Sevilla"}})).await;
    assert_eq!(code, "SERVICE_REJECTED", "reading what was there: {message}");
    assert!(message.contains("who is") && !message.contains("wr0ng"), "{message}");
    let mut none = settings(&service, true);
    none["crm"]["rest"].as_object_mut().unwrap().remove("token");
    let lacks = ToolsFixture::with(none).registry.unavailable_providers();
    assert_eq!(lacks.iter().map(|lack| lack.setting.as_str()).collect::<Vec<_>>(), ["tools.crm.rest.token"]);
}

#[test]
fn a_path_without_an_id_is_refused_at_once() {
    for one in ["contacts", "contacts/{id}/{id}"] {
        let settings = json!({"crm": {"rest": {"base_url": "https://crm.example", "token": "t", "one": one}}});
        let config: ToolsConfig = serde_json::from_value(settings).unwrap();
        let world = ToolsFixture::new();
        let error = ToolRegistry::new(config, &world.services()).err().unwrap().to_string();
        assert!(error.contains("{id}"), "{error}");
    }
}
