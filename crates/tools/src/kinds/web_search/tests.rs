use std::time::Duration;

use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use crate::ToolsConfig;
use crate::testing::ToolsFixture;
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};

/// A SearXNG response to `/search?format=json`, from its documentation, including fields that are not used here.
const RECORDED: &str = include_str!("testdata/searxng.json");

fn world(service: &FakeService, more: Value) -> ToolsFixture {
    let mut search = json!({"url": service.url("/searx/")});
    search.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ToolsFixture::with(json!({"web_search": search}))
}

async fn saying(
    says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static,
) -> (FakeService, ToolsFixture) {
    let service = FakeService::start(says).await;
    let world = world(&service, json!({}));
    (service, world)
}

fn recorded() -> CannedResponse {
    CannedResponse::Answer(200, "content-type: application/json\r\n".to_owned(), RECORDED.to_owned())
}

#[tokio::test]
async fn a_search_gives_what_can_be_followed_in_the_order_it_was_ranked() {
    let (service, world) = saying(|_| recorded()).await;
    let found = world.done("k", "web_search", json!({"query": "rust & sagas", "language": "en", "page": 2})).await;
    assert_eq!(service.received()[0].target, "/searx/search?q=rust+%26+sagas&format=json&language=en&pageno=2");
    assert_eq!(found["count"], 2);
    assert_eq!(
        found["results"][0],
        json!({
            "title": "Saga pattern", "url": "https://patterns.example/saga", "engine": "duckduckgo", "score": 4.5,
            "snippet": "A saga is a sequence of local transactions.",
        })
    );
    // The result between them has an address that no client should follow.
    assert_eq!(found["results"][1]["url"], "http://other.example/compensation");
    assert_eq!(found["results"][1]["score"], Value::Null);
    let snippet = found["results"][1]["snippet"].as_str().unwrap();
    assert!(snippet.ends_with('…') && snippet.chars().count() == 601, "{snippet}");
}

#[tokio::test]
async fn a_search_is_in_the_customers_language_unless_told_and_gives_as_many_as_wanted() {
    let (service, world) = saying(|_| recorded()).await;
    let found = world.done("k", "search_web", json!({"query": "sagas", "max_results": 1})).await;
    assert!(service.received()[0].target.contains("language=es"), "{}", service.received()[0].target);
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    assert_eq!(world.registry.facts("web_search").unwrap().class, EffectClass::Read);
}

#[tokio::test]
async fn a_key_and_settings_of_the_instance_are_sent_and_the_key_is_not_shown() {
    let service = FakeService::start(|_| answer(200, &json!({"results": []}))).await;
    let settings = json!({"authorization": "Bearer s3cr3t", "query": {"engines": "wikipedia"}});
    let world = world(&service, settings.clone());
    assert_eq!(world.done("k", "web_search", json!({"query": "x"})).await["count"], 0);
    let asked = &service.received()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer s3cr3t"));
    assert!(asked.target.ends_with("&engines=wikipedia"), "{}", asked.target);
    let config: ToolsConfig = serde_json::from_value(json!({"web_search": settings})).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn without_a_service_the_setting_is_named() {
    let (code, message) = ToolsFixture::new().refused("k", "web_search", json!({"query": "x"})).await;
    assert_eq!(code, "WEB_SEARCH_NOT_CONFIGURED");
    assert!(message.contains("`[tools.web_search]`"), "{message}");
}

#[tokio::test]
async fn what_the_service_says_decides_whether_it_is_asked_again() {
    for (status, headers, body, code, again) in [
        (403, "", "<html>", "SERVICE_REJECTED", false),
        (400, "", "no query", "SERVICE_REJECTED", false),
        (429, "retry-after: 7\r\n", "", "RATE_LIMIT_EXCEEDED", true),
        (500, "", "", "SERVICE_UNAVAILABLE", true),
        (200, "", "<html>not json</html>", "SERVICE_UNAVAILABLE", true),
        (200, "", "{\"results\": 3}", "SERVICE_UNAVAILABLE", true),
    ] {
        let (_service, world) =
            saying(move |_| CannedResponse::Answer(status, headers.to_owned(), body.to_owned())).await;
        let outcome = world.send(&world.call("k", "web_search", json!({"query": "x"}))).await.outcome;
        let ToolOutcome::NotDone { fault, retryable, retry_after } = outcome else { panic!("{status}: {outcome:?}") };
        assert_eq!((&*fault.code, retryable), (code, again), "{status} {}", fault.message);
        assert_eq!(retry_after, (status == 429).then_some(7_000));
    }
}

#[tokio::test]
async fn an_instance_that_does_not_serve_json_is_said_how_to() {
    let (_service, world) = saying(|_| CannedResponse::Answer(403, String::new(), "<html>".to_owned())).await;
    let (_, message) = world.refused("k", "web_search", json!({"query": "x"})).await;
    assert!(message.contains("`search.formats`"), "{message}");
}

#[tokio::test]
async fn a_service_that_says_nothing_is_given_up() {
    let (_service, world) = saying(|_| CannedResponse::NoResponse).await;
    let call = world.call("k", "web_search", json!({"query": "x"}));
    let outcome = world.send_within(&call, Duration::from_millis(50)).await.outcome;
    let ToolOutcome::NotDone { fault, retryable, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((&*fault.code, retryable), ("TIMEOUT", true));
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_without_repeating_it() {
    for url in ["search.example", "ftp://search.example", "https://me:s3cr3t@search.example", "https://s.example/?q=1"]
    {
        let error = serde_json::from_value::<ToolsConfig>(json!({"web_search": {"url": url}})).unwrap_err().to_string();
        assert!(error.contains("is no ") && !error.contains("s3cr3t"), "{error}");
    }
}
