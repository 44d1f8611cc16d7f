mod echo;
mod response_class;

use std::time::Duration;

use baton_core::tool::ToolOutcome;
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, not_done, unknown};

const LIMIT: Duration = Duration::from_secs(5);

fn world(tool: Value) -> ToolsFixture {
    let mut whole = json!({"name": "t", "kind": "http"});
    whole.as_object_mut().unwrap().extend(tool.as_object().unwrap().clone());
    ToolsFixture::with_definitions(json!({"secrets": {"crm": "s3cr3t"}}), whole)
}

async fn echo() -> FakeService {
    FakeService::start(|asked: &RecordedRequest| {
        answer(200, &json!({"data": {"target": asked.target, "body": asked.body}}))
    })
    .await
}

#[tokio::test]
async fn a_service_is_called_with_the_call_itself_unless_told() {
    let service = echo().await;
    let world = world(json!({"url": service.url("/act"), "idempotency_header": "Idempotency-Key"}));
    world.done("run-1/book/0", "t", json!({"date": "x"})).await;
    let asked = &service.received()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/act"));
    assert_eq!(asked.json(), json!({"tool": "t", "arguments": {"date": "x"}, "key": "run-1/book/0"}));
    assert_eq!(asked.header("idempotency-key"), Some("run-1/book/0"));
}

#[tokio::test]
async fn every_part_of_the_request_is_a_template_and_the_result_is_searched() {
    let service = echo().await;
    let world = world(json!({
        "url": service.url("/customers/{{ arguments.id }}/orders?fixed=a%20b%2B&who={{ user_id }}"),
        "method": "PUT",
        "query": {"page": "{{ arguments.page }}", "none": "{{ arguments.none }}"},
        "headers": {"Authorization": "Bearer {{ secrets.crm }}", "X-Tenant": "{{ tenant }}"},
        "body": {"items": "{{ arguments.items }}", "by": "baton"},
        "result": "data.target",
    }));
    let mut call = world.call("k", "t", json!({"id": "a/../b?c#d", "page": 2, "none": null, "items": [1, 2]}));
    call.caller.user_id = Some("user 1".to_owned());
    let target = done(world.send(&call).await.outcome);
    assert_eq!(target, "/customers/a%2F..%2Fb%3Fc%23d/orders?fixed=a+b%2B&who=user+1&page=2");
    let asked = &service.received()[0];
    assert_eq!(asked.json(), json!({"items": [1, 2], "by": "baton"}));
    assert_eq!((asked.header("authorization"), asked.header("x-tenant")), (Some("Bearer s3cr3t"), Some("clinic")));
}

#[tokio::test]
async fn an_argument_cannot_lead_the_path_elsewhere() {
    let service = echo().await;
    let world = world(json!({"url": service.url("/customers/{{ arguments.id }}"), "method": "DELETE"}));
    for id in ["", ".", ".."] {
        assert_eq!(world.refused("k", "t", json!({"id": id})).await.0, "INVALID_PARAMETERS", "{id:?}");
    }
    let (code, message) = world.refused("k", "t", json!({})).await;
    assert_eq!(code, "EXPRESSION_FAILED");
    assert!(message.contains("`url`"), "{message}");
    assert!(service.received().is_empty());
}

#[tokio::test]
async fn an_address_that_is_the_key_is_in_no_row_and_no_message() {
    for says in [
        || CannedResponse::Answer(400, String::new(), "no: /services/T0/s3cr3t".to_owned()),
        || CannedResponse::Disconnect,
    ] {
        let service = FakeService::start(move |_| says()).await;
        let world = world(json!({"url": service.url("/services/T0/s3cr3t?token=t0k3n"), "secret_url": true}));
        let performed = format!("{:?}", world.send(&world.call("k", "t", json!({}))).await);
        assert!(performed.contains("127.0.0.1") && performed.contains("[REDACTED]"), "{performed}");
        assert!(!performed.contains("s3cr3t") && !performed.contains("t0k3n"), "{performed}");
        assert_eq!(service.received()[0].target, "/services/T0/s3cr3t?token=t0k3n");
    }
}

#[tokio::test]
async fn a_part_of_an_address_that_is_the_key_is_hidden_alone_too() {
    let echo = json!({"error": "bad token t0k/3n", "hook": "s3cr3t p4th", "as": "s3cr3t%20p4th", "path": "hooks"});
    for status in [200, 400] {
        let said = echo.clone();
        let service = FakeService::start(move |_| answer(status, &said)).await;
        let url = service.url("/hooks/s3cr3t%20p4th?token=t0k%2F3n");
        let world = world(json!({"url": url, "secret_url": true}));
        let performed = format!("{:?}", world.send(&world.call("k", "t", json!({}))).await);
        assert!(!performed.contains("t0k/3n") && !performed.contains("s3cr3t"), "{performed}");
        assert!(performed.contains("[REDACTED]") && performed.contains("hooks"), "{performed}");
    }
}

#[tokio::test]
async fn a_look_up_hides_the_address_of_the_call_too() {
    let echo = json!({"state": "done", "hook": "/hooks/s3cr3t-p4th", "token": "t0k3n", "status": "st4tus-k3y"});
    let service = FakeService::start(move |_| answer(200, &echo)).await;
    let world = world(json!({
        "url": service.url("/hooks/s3cr3t-p4th?token=t0k3n"), "secret_url": true,
        "lookup": {"url": service.url("/status?key=st4tus-k3y"), "done": "body.state == 'done'"},
    }));
    let call = world.call("k", "t", json!({}));
    for outcome in [world.send(&call).await.outcome, world.registry.look_up(&call, LIMIT).await] {
        let output = done(outcome).to_string();
        assert!(output.contains("done") && output.contains("[REDACTED]"), "{output}");
        for secret in ["s3cr3t-p4th", "t0k3n", "st4tus-k3y"] {
            assert!(!output.contains(secret), "{output}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_said_to_be_so_with_the_way_out() {
    let service = echo().await;
    for secrets in [json!({}), json!({"other": "s3cr3t"})] {
        let document = json!({
            "openapi": "3.1.0", "paths": {"/": {"post": {"operationId": "act", "security": [{"key": []}]}}},
            "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
        });
        let tools = json!([
            {"name": "header", "kind": "http", "url": service.url("/"), "headers": {"X-Key": "Key {{ secrets.shop }}"}},
            {"name": "body", "kind": "http", "url": service.url("/"), "body": {"key": "{{ secrets.shop }}"}},
            {"name": "shop", "kind": "openapi", "document": document, "server": service.url("/"),
             "auth": {"key": "{{ secrets.shop }}"}},
        ]);
        let world = ToolsFixture::with_definitions(json!({ "secrets": secrets }), tools);
        for tool in ["header", "body", "shop.act"] {
            let (code, message) = world.refused("k", tool, json!({})).await;
            assert_eq!(code, "SERVICE_NOT_CONFIGURED", "{message}");
            assert!(message.contains("the secret `shop` is not set"), "{message}");
            assert!(message.contains("BATON_TOOLS__SECRETS__SHOP") && message.contains("[tools.secrets]"), "{message}");
            assert!(!message.contains("default"), "{message}");
        }
    }
    assert!(service.received().is_empty());
}

#[tokio::test]
async fn a_secret_is_in_no_row_and_no_message() {
    let service = FakeService::start(|_| CannedResponse::Answer(400, String::new(), "no".to_owned())).await;
    let world = world(json!({
        "url": service.url("/"), "headers": {"Authorization": "Bearer {{ secrets.crm }}"}, "body": {"key": "{{ secrets.crm }}"}
    }));
    let performed = world.send(&world.call("k", "t", json!({"x": 1}))).await;
    assert!(!format!("{performed:?}").contains("s3cr3t"), "{performed:?}");
    assert_eq!(service.received()[0].header("authorization"), Some("Bearer s3cr3t"));
}

#[tokio::test]
async fn a_secret_that_is_bound_to_an_origin_goes_to_no_other() {
    let (mine, theirs) = (echo().await, echo().await);
    for (service, may) in [(&mine, true), (&theirs, false)] {
        let secret = json!({"value": "s3cr3t", "origins": [mine.url("/")]});
        let tool = json!({"name": "t", "kind": "http", "url": service.url("/"),
            "headers": {"Authorization": "Bearer {{ secrets.crm }}"}});
        let world = ToolsFixture::with_definitions(json!({"secrets": {"crm": secret}}), tool);
        if may {
            world.done("k", "t", json!({})).await;
            assert_eq!(service.received()[0].header("authorization"), Some("Bearer s3cr3t"));
            continue;
        }
        let (code, message) = world.refused("k", "t", json!({})).await;
        assert_eq!(code, "EXPRESSION_FAILED");
        assert!(message.contains("`crm` may not go to http://127.0.0.1"), "{message}");
        assert!(service.received().is_empty());
    }
}

#[tokio::test]
async fn an_error_rule_says_what_an_answer_means() {
    let service = FakeService::start(|asked: &RecordedRequest| match asked.json()["arguments"]["case"].as_str() {
        Some("declined") => answer(402, &json!({"error": {"code": "card_declined"}})),
        Some("quiet") => answer(200, &json!({"ok": false})),
        Some("maybe") => answer(400, &json!({"error": {"code": "timeout_behind"}})),
        _ => answer(418, &json!({})),
    })
    .await;
    let world = world(json!({"url": service.url("/"), "errors": [
        {"when": "body.error.code == 'card_declined'", "code": "PAYMENT_DECLINED"},
        {"when": "status == `200` && body.ok == `false`", "code": "BUSY", "retryable": true, "customer": {"es": "Ocupado."}},
        {"when": "body.error.code == 'timeout_behind'", "code": "BEHIND", "unknown": true, "message": "it may have acted"},
    ]}));
    let send = async |case: &str| world.send(&world.call("k", "t", json!({"case": case}))).await.outcome;
    match send("declined").await {
        ToolOutcome::NotDone { fault, retryable: false, .. } => {
            assert_eq!(fault.code, "PAYMENT_DECLINED");
            assert!(fault.customer.unwrap().starts_with("Lo siento, no pudimos procesar tu pago."));
        }
        other => panic!("{other:?}"),
    }
    match send("quiet").await {
        ToolOutcome::NotDone { fault, retryable: true, .. } => {
            assert_eq!((&*fault.code, fault.customer.as_deref()), ("BUSY", Some("Ocupado.")));
        }
        other => panic!("{other:?}"),
    }
    let (code, message) = unknown(send("maybe").await);
    assert_eq!(code, "BEHIND");
    assert!(message.contains("it may have acted"), "{message}");
    assert_eq!(not_done(send("else").await).0, "SERVICE_REJECTED");
}

#[tokio::test]
async fn what_became_of_a_call_is_asked_of_the_service() {
    let service = FakeService::start(|asked: &RecordedRequest| match (asked.method.as_str(), asked.target.as_str()) {
        ("POST", _) => CannedResponse::Disconnect,
        (_, "/calls/done") => answer(200, &json!({"state": "done", "booking": {"id": 7}})),
        (_, "/calls/never") => answer(404, &json!({"state": "unknown"})),
        (_, "/calls/broken") => CannedResponse::Disconnect,
        (_, "/calls/torn") => CannedResponse::Truncated(404, "{\"state\": \"unk".to_owned()),
        _ => answer(200, &json!({"state": "working"})),
    })
    .await;
    let world = world(json!({"url": service.url("/calls"), "lookup": {
        "url": service.url("/calls/{{ key }}"), "done": "body.state == 'done'", "not_done": "status == `404`", "result": "booking"
    }}));
    let look_up = async |key: &str| {
        let call = world.call(key, "t", json!({}));
        assert_eq!(call.class, baton_core::tool::EffectClass::Verify);
        world.registry.look_up(&call, LIMIT).await
    };
    assert_eq!(unknown(world.send(&world.call("done", "t", json!({}))).await.outcome).0, "SERVICE_UNAVAILABLE");
    assert_eq!(done(look_up("done").await), json!({"id": 7}));
    assert!(not_done(look_up("never").await).1.contains("was not done"));
    assert_eq!(unknown(look_up("working").await).0, "OUTCOME_UNKNOWN");
    assert_eq!(unknown(look_up("broken").await).0, "SERVICE_UNAVAILABLE");
    assert_eq!(unknown(look_up("torn").await).0, "SERVICE_UNAVAILABLE", "half an answer tells nothing");
}

#[tokio::test]
async fn a_service_that_does_not_answer_a_look_up_leaves_it_unknown() {
    let service = FakeService::start(|_| CannedResponse::NoResponse).await;
    let world = world(json!({"url": service.url("/"), "lookup": {"url": service.url("/"), "done": "body.x"}}));
    let outcome = world.registry.look_up(&world.call("k", "t", json!({})), Duration::from_millis(20)).await;
    assert!(unknown(outcome).1.contains("did not answer in 20 ms"));
}

#[tokio::test]
async fn an_act_whose_answer_cannot_be_read_was_done_all_the_same() {
    let service = FakeService::start(|_| answer(200, &json!("text"))).await;
    let tool = |class: &str| json!({"name": class, "kind": "http", "url": service.url("/"), "class": class, "result": "sum(@)"});
    let world = ToolsFixture::with_definitions(json!({}), json!([tool("once"), tool("read")]));
    assert_eq!(world.done("k", "once", json!({})).await, json!("text"));
    assert_eq!(world.refused("k", "read", json!({})).await.0, "EXPRESSION_FAILED");
}

#[tokio::test]
async fn a_result_too_large_to_keep_is_refused_or_cut() {
    let service = FakeService::start(|_| answer(200, &json!("x".repeat(5 << 20)))).await;
    let tool = |class: &str| json!({"name": class, "kind": "http", "url": service.url("/"), "class": class});
    for limit in [1 << 20, 16 << 20] {
        let settings = json!({"outbound": {"response_bytes_max": limit}});
        let world = ToolsFixture::with_definitions(settings, json!([tool("read"), tool("once")]));
        assert_eq!(world.refused("k", "read", json!({})).await.0, "RESPONSE_TOO_LARGE");
        assert_eq!(world.done("k", "once", json!({})).await["truncated"], true);
    }
}
