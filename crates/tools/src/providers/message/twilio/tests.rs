use std::sync::Arc;

use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use super::international;
use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, not_done, unknown};

const SENDS: &str = "/2010-04-01/Accounts/ACaaaa/Messages.json";

/// Twilio's documented response to an accepted message.
fn taken(to: &str) -> Value {
    json!({
        "account_sid": "ACaaaa", "api_version": "2010-04-01", "body": "Tu cita está confirmada",
        "date_created": "Wed, 15 Jan 2025 09:00:00 +0000", "date_sent": null, "date_updated": "Wed, 15 Jan 2025 09:00:00 +0000",
        "direction": "outbound-api", "error_code": null, "error_message": null, "from": "+14155552345",
        "messaging_service_sid": null, "num_media": "0", "num_segments": "1", "price": null, "price_unit": "USD",
        "sid": "SMbbbb", "status": "queued", "to": to,
        "uri": "/2010-04-01/Accounts/ACaaaa/Messages/SMbbbb.json",
    })
}

/// Twilio's documented form of an error.
fn error(status: u16, code: u64, message: &str) -> CannedResponse {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    answer(status, &json!({"code": code, "message": message, "more_info": more, "status": status}))
}

fn world(service: &FakeService) -> ToolsFixture {
    ToolsFixture::with(json!({"message": {"twilio": {
        "account_sid": "ACaaaa", "auth_token": "s3cr3t", "from": "+14155552345", "whatsapp_from": "+14155238886",
        "base_url": service.url(""),
    }}}))
}

async fn twilio(
    says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static,
) -> (FakeService, ToolsFixture) {
    let service = FakeService::start(says).await;
    let world = world(&service);
    (service, world)
}

fn message() -> Value {
    json!({"to": "+34 612 345 678", "message": "Tu cita está confirmada"})
}

async fn outcome(tool: &str, says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static) -> ToolOutcome {
    let (_service, world) = twilio(says).await;
    let performed = world.send(&world.call("k", tool, message())).await;
    assert!(!format!("{performed:?}").contains("s3cr3t"));
    performed.outcome
}

#[tokio::test]
async fn a_message_is_a_form_with_the_channels_addresses() {
    let (service, world) = twilio(|_| answer(201, &taken("+34612345678"))).await;
    let text = done(world.send(&world.call("a", "send_sms", message())).await.outcome);
    let chat = done(world.send(&world.call("b", "send_whatsapp", message())).await.outcome);
    assert_eq!(
        (&text["message_id"], &text["status"], &text["provider"]),
        (&json!("SMbbbb"), &json!("queued"), &json!("twilio"))
    );
    assert_eq!((&chat["delivered"], &chat["channel"]), (&json!("twilio"), &json!("whatsapp")));
    let asked = service.received();
    assert_eq!((&*asked[0].method, &*asked[0].target), ("POST", SENDS));
    assert_eq!(asked[0].header("authorization"), Some("Basic QUNhYWFhOnMzY3IzdA=="));
    assert_eq!(asked[0].body, "To=%2B34612345678&From=%2B14155552345&Body=Tu%20cita%20est%C3%A1%20confirmada");
    assert!(
        asked[1].body.starts_with("To=whatsapp%3A%2B34612345678&From=whatsapp%3A%2B14155238886&"),
        "{}",
        asked[1].body
    );
}

#[tokio::test]
async fn a_call_that_counts_on_the_outbox_is_not_sent_by_twilio() {
    let (service, world) = twilio(|_| answer(201, &taken("+34612345678"))).await;
    let mut call = world.call("k", "send_sms", message());
    call.class = EffectClass::Keyed;
    let (code, message) = not_done(world.send(&call).await.outcome);
    assert_eq!(code, "PROVIDER_CHANGED");
    assert!(message.contains("\"keyed\"") && message.contains("`twilio`"), "{message}");
    Arc::make_mut(&mut call.arguments)["at"] = json!("internal");
    not_done(world.send(&call).await.outcome);
    assert!(service.received().is_empty());
}

#[tokio::test]
async fn a_call_costs_what_the_seed_says_and_the_audit_names_twilio() {
    let (_service, world) = twilio(|_| answer(201, &taken("+34612345678"))).await;
    let performed = world.send(&world.call("a", "send_sms", message())).await;
    match performed.outcome {
        ToolOutcome::Done { cost, .. } => assert!((cost.as_f64() - 0.005).abs() < 1e-9),
        other => panic!("{other:?}"),
    }
    assert_eq!(performed.audit.details["provider"], "twilio");
    let facts = world.registry.facts("send_sms").unwrap();
    assert_eq!((facts.class, facts.cost.as_f64()), (EffectClass::Verify, 0.005));
    assert_eq!(ToolsFixture::new().registry.facts("send_sms").unwrap().cost.as_f64(), 0.0);
}

#[tokio::test]
async fn a_refusal_of_twilio_is_sorted_by_its_code() {
    for (status, number, code, again) in [
        (400, 21211, "INVALID_PARAMETERS", false),
        (400, 21614, "INVALID_PARAMETERS", false),
        (400, 21610, "MESSAGE_REJECTED", false),
        (400, 63016, "MESSAGE_REJECTED", false),
        (429, 20429, "RATE_LIMIT_EXCEEDED", true),
        (400, 63018, "RATE_LIMIT_EXCEEDED", true),
        (401, 20003, "SERVICE_REJECTED", false),
    ] {
        let said = "The 'To' number is not a valid phone number. s3cr3t";
        match outcome("send_sms", move |_| error(status, number, said)).await {
            ToolOutcome::NotDone { fault, retryable, .. } => {
                assert_eq!((&*fault.code, retryable), (code, again), "{number}");
                assert!(
                    fault.message.contains("is not a valid phone number")
                        && fault.message.contains(&number.to_string())
                );
            }
            other => panic!("{number}: {other:?}"),
        }
    }
    let failed = outcome("send_sms", |_| {
        answer(201, &json!({"sid": "SM1", "status": "failed", "error_message": "unreachable"}))
    })
    .await;
    assert_eq!(not_done(failed).0, "MESSAGE_REJECTED");
}

#[tokio::test]
async fn twilio_says_when_to_come_back() {
    let busy = |_: &RecordedRequest| {
        CannedResponse::Answer(
            429,
            "retry-after: 3\r\n".to_owned(),
            json!({"code": 20429, "message": "Too Many Requests"}).to_string(),
        )
    };
    match outcome("send_whatsapp", busy).await {
        ToolOutcome::NotDone { retry_after, retryable: true, .. } => assert_eq!(retry_after, Some(3_000)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_does_not_tell_leaves_the_message_unknown() {
    let lost: [fn(&RecordedRequest) -> CannedResponse; 4] = [
        |_| CannedResponse::Disconnect,
        |_| answer(500, &json!({"code": 20500, "message": "Internal Server Error"})),
        |_| CannedResponse::Answer(201, String::new(), "<html>".to_owned()),
        |_| answer(201, &json!({"status": "queued"})),
    ];
    for says in lost {
        unknown(outcome("send_sms", says).await);
    }
}

/// The look-up outcome if Twilio returns this list, built from the message it accepted.
async fn looked_up(listed: impl Fn(Value) -> Vec<Value> + Send + Sync + 'static) -> ToolOutcome {
    let (service, world) = twilio(move |asked| match asked.method.as_str() {
        "GET" => {
            answer(200, &json!({"messages": listed(taken("+34612345678")), "next_page_uri": null, "page_size": 100}))
        }
        _ => CannedResponse::Disconnect,
    })
    .await;
    let call = world.call("k", "send_sms", message());
    unknown(world.send(&call).await.outcome);
    let outcome = world.registry.look_up(&call, std::time::Duration::from_secs(5)).await;
    assert_eq!(service.received()[1].target, format!("{SENDS}?To=%2B34612345678&PageSize=100"));
    assert_eq!(service.received().iter().filter(|asked| asked.method == "POST").count(), 1, "a look-up sends nothing");
    outcome
}

#[tokio::test]
async fn a_lost_answer_is_found_among_the_messages_to_that_number() {
    let output = done(looked_up(|taken| vec![json!({"body": "other"}), taken]).await);
    assert_eq!((&output["message_id"], &output["status"]), (&json!("SMbbbb"), &json!("queued")));
    let trial = |mut taken: Value| {
        taken["body"] = json!("Sent from your Twilio trial account - Tu cita está confirmada");
        vec![taken]
    };
    done(looked_up(trial).await);
}

#[tokio::test]
async fn what_is_not_found_at_twilio_is_never_taken_for_not_sent() {
    for (field, value) in [
        ("body", json!("Tu cita está cancelada")),
        ("date_created", json!("Wed, 15 Jan 2025 08:59:00 +0000")),
        ("date_created", json!("soon")),
        ("direction", json!("inbound")),
        ("sid", json!(null)),
    ] {
        unknown(
            looked_up(move |mut taken| {
                taken[field] = value.clone();
                vec![taken]
            })
            .await,
        );
    }
    unknown(looked_up(|_| Vec::new()).await);
}

#[tokio::test]
async fn a_number_without_its_country_is_refused_before_anything_is_sent() {
    let (service, world) = twilio(|_| answer(201, &taken("x"))).await;
    let (code, message) = world.refused("k", "send_sms", json!({"to": "612 345 678", "message": "x"})).await;
    assert_eq!(code, "INVALID_PARAMETERS");
    assert!(message.contains("+34"), "{message}");
    assert!(service.received().is_empty());
    assert_eq!(international("+34 (612) 345-678").as_deref(), Ok("+34612345678"));
    assert_eq!(international("0034 612 345 678").as_deref(), Ok("+34612345678"));
}

#[tokio::test]
async fn a_tenant_has_its_own_account_and_another_only_the_outbox() {
    let service = FakeService::start(|_| answer(201, &taken("+34612345678"))).await;
    let twilio = json!({"account_sid": "ACaaaa", "auth_token": "{{ secrets.clinic }}", "messaging_service_sid": "MG1", "base_url": service.url("")});
    let world = ToolsFixture::with(
        json!({"secrets": {"clinic": "s3cr3t"}, "tenants": {"clinic": {"message": {"twilio": twilio}}}}),
    );
    let mut call = world.call("k", "send_sms", message());
    assert_eq!(call.class, EffectClass::Verify, "of the provider that can promise least");
    assert_eq!(done(world.send(&call).await.outcome)["provider"], "twilio");
    assert_eq!(service.received()[0].header("authorization"), Some("Basic QUNhYWFhOnMzY3IzdA=="));
    assert!(service.received()[0].body.contains("MessagingServiceSid=MG1"));
    call.tenant = "shop".into();
    let limit = std::time::Duration::from_secs(5);
    assert!(matches!(world.registry.look_up(&call, limit).await, ToolOutcome::NotDone { .. }));
    let kept = done(world.send(&call).await.outcome);
    assert_eq!(kept["provider"], "outbox");
    assert_eq!(done(world.registry.look_up(&call, limit).await), kept);
    world.records.unreadable.store(true, std::sync::atomic::Ordering::Relaxed);
    unknown(world.registry.look_up(&call, limit).await);
}

#[tokio::test]
async fn an_account_without_its_secret_is_named_and_sends_nothing() {
    for (twilio, setting) in [
        (json!({"account_sid": "AC1", "from": "+1"}), "tools.message.twilio.auth_token"),
        (json!({"account_sid": "AC1", "from": "+1", "auth_token": ""}), "tools.message.twilio.auth_token"),
        (json!({"account_sid": "AC1", "from": "+1", "auth_token": "{{ secrets.sms }}"}), "tools.secrets.sms"),
        (
            json!({"account_sid": "AC1", "from": "+1", "auth_token": "{{ secrets.elsewhere }}"}),
            "tools.secrets.elsewhere.origins",
        ),
        (json!({"auth_token": "x", "from": "+1"}), "tools.message.twilio.account_sid"),
        (json!({"account_sid": "AC1", "auth_token": "x"}), "tools.message.twilio.from"),
    ] {
        let world = ToolsFixture::with(json!({
            "message": {"twilio": twilio},
            "secrets": {"elsewhere": {"value": "x", "origins": ["https://crm.example.com"]}},
        }));
        let (code, message) = world.refused("k", "send_sms", message()).await;
        assert_eq!(code, "SERVICE_NOT_CONFIGURED");
        assert!(message.contains(setting), "{message}");
        assert!(
            world
                .registry
                .unavailable_providers()
                .iter()
                .any(|lack| lack.tool == "send_sms" && lack.setting == setting)
        );
    }
    assert!(ToolsFixture::new().registry.unavailable_providers().is_empty());
    let token_alone = ToolsFixture::with(json!({"message": {"twilio": {"auth_token": "x"}}}));
    assert_eq!(token_alone.done("k", "send_sms", message()).await["provider"], "outbox");
}
