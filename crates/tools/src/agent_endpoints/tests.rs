use baton_core::agent::{AgentDefinition, AgentKind, AgentObservation, AgentTask};
use baton_core::id::TenantId;
use serde_json::Value;

use super::*;
use crate::testing::service::{CannedResponse, FakeService, json as answer};

fn endpoints(settings: Value) -> AgentEndpoints {
    AgentEndpoints::new(&serde_json::from_value(settings).unwrap())
}

fn open() -> AgentEndpoints {
    endpoints(json!({"outbound": {"allow": ["127.0.0.1"]}, "secrets": {"thinker": "s3cr3t"}}))
}

/// A secret that is bound to this service's origin.
fn bound(service: &FakeService) -> AgentEndpoints {
    let secret = json!({"value": "s3cr3t", "origins": [service.url("/")]});
    endpoints(json!({"outbound": {"allow": ["127.0.0.1"]}, "secrets": {"thinker": secret}}))
}

fn task() -> AgentTask {
    let (system, prompt, language) = ("Be kind.".to_owned(), "Where is order 7?".to_owned(), String::new());
    AgentTask {
        agent: AgentDefinition::new("proxy", AgentKind::Custom),
        system,
        prompt,
        tools: Vec::new(),
        selects: false,
        language,
    }
}

async fn think(endpoints: &AgentEndpoints, endpoint: &str, task: &AgentTask) -> Result<AgentStep, ModelCallError> {
    let tenant = TenantId::new("acme");
    let seen = [AgentObservation::Said("Hello".to_owned())];
    let thought = StepRequest { tenant: &tenant, key: "run/node/0/0", endpoint, task, seen: &seen };
    endpoints.think(thought, Duration::from_millis(500)).await
}

async fn asked(says: impl Fn() -> CannedResponse + Send + Sync + 'static) -> Result<AgentStep, ModelCallError> {
    let service = FakeService::start(move |_| says()).await;
    think(&open(), &service.url("/step"), &task()).await
}

#[tokio::test]
async fn the_task_and_what_was_seen_go_out_under_the_calls_key_and_a_step_comes_back() {
    let service = FakeService::start(|_| answer(200, &json!({"answer": {"output": {"text": "On its way."}}}))).await;
    let mut task = task();
    task.agent.metadata.insert(SECRET.to_owned(), json!("thinker"));
    let step = think(&bound(&service), &service.url("/step"), &task).await.unwrap();
    assert_eq!(step, AgentStep::Answer { output: json!({"text": "On its way."}) });
    let asked = &service.received()[0];
    assert_eq!((asked.method.as_str(), asked.header("idempotency-key")), ("POST", Some("run/node/0/0")));
    assert_eq!(asked.header("authorization"), Some("Bearer s3cr3t"));
    assert_eq!(asked.json()["task"]["prompt"], "Where is order 7?");
    assert_eq!(asked.json()["seen"], json!([{"said": "Hello"}]));
}

#[tokio::test]
async fn what_is_no_step_is_said_and_not_asked_for_again() {
    for body in [json!({"think": {}}), json!("answer"), json!({"answer": {}})] {
        let failed = asked(move || answer(200, &body)).await.unwrap_err();
        assert_eq!((failed.fault.code.as_ref(), failed.retryable), ("STEP_INVALID", false), "{}", failed.fault);
    }
    let failed = asked(|| CannedResponse::Answer(200, String::new(), "<html>".to_owned())).await.unwrap_err();
    assert!(failed.fault.message.contains("<html>"), "{}", failed.fault);
}

#[tokio::test]
async fn a_thinker_that_is_busy_or_gone_is_asked_again() {
    let busy = asked(|| CannedResponse::Answer(429, "retry-after: 3\r\n".to_owned(), String::new())).await.unwrap_err();
    assert_eq!((busy.retryable, busy.retry_after), (true, Some(3_000)));
    assert!(asked(|| CannedResponse::Disconnect).await.unwrap_err().retryable);
    let slow = asked(|| CannedResponse::NoResponse).await.unwrap_err();
    assert_eq!((slow.fault.code.as_ref(), slow.retryable), ("TIMEOUT", true));
    let refused = asked(|| CannedResponse::Answer(403, String::new(), "no".to_owned())).await.unwrap_err();
    assert!(!refused.retryable, "{}", refused.fault);
}

#[tokio::test]
async fn an_endpoint_inside_is_not_reached_unless_it_is_allowed() {
    let service = FakeService::start(|_| answer(200, &json!({"hand_over": {"reason": "r"}}))).await;
    let failed = think(&endpoints(json!({})), &service.url("/step"), &task()).await.unwrap_err();
    assert_eq!((failed.fault.code.as_ref(), failed.retryable), ("ADDRESS_NOT_ALLOWED", false));
    assert!(service.received().is_empty());
}

#[tokio::test]
async fn a_secret_or_an_endpoint_that_is_not_there_is_named() {
    let mut task = task();
    assert!(think(&open(), "nowhere", &task).await.unwrap_err().fault.message.contains("`nowhere` is no URL"));
    task.agent.metadata.insert(SECRET.to_owned(), json!("other"));
    let told = think(&open(), "https://think.example.com", &task).await.unwrap_err().fault.message;
    assert!(told.contains("`proxy`") && told.contains("no secret `other`"), "{told}");
}

#[tokio::test]
async fn a_secret_goes_to_no_endpoint_it_is_not_bound_to() {
    let hand_over = || answer(200, &json!({"hand_over": {"reason": "r"}}));
    let (mine, theirs) =
        (FakeService::start(move |_| hand_over()).await, FakeService::start(move |_| hand_over()).await);
    let mut task = task();
    task.agent.metadata.insert(SECRET.to_owned(), json!("thinker"));
    for endpoints in [bound(&mine), open()] {
        let failed = think(&endpoints, &theirs.url("/step"), &task).await.unwrap_err();
        let told = &failed.fault.message;
        assert!(told.contains("`thinker` may not go to http://127.0.0.1") && !told.contains("s3cr3t"), "{told}");
        assert!(!failed.retryable);
    }
    assert!(theirs.received().is_empty(), "not even without it");
}
