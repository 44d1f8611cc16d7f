use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use crate::testing::service::{CannedResponse, FakeService, RecordedRequest, json as answer};
use crate::testing::{ToolsFixture, done, unknown};

/// SendGrid's documented response to an accepted e-mail.
fn taken() -> CannedResponse {
    CannedResponse::Answer(202, "x-message-id: 14c5d75ce93.dfd.64b469\r\n".to_owned(), String::new())
}

fn world(service: &FakeService) -> ToolsFixture {
    ToolsFixture::with(json!({"email": {"sendgrid": {
        "api_key": "SG.s3cr3t", "from": "Clínica <hola@clinic.example>", "base_url": service.url(""),
    }}}))
}

fn letter() -> Value {
    json!({
        "to": "Ana López <ana@clinic.example>", "cc": ["b@clinic.example", "ANA@clinic.example"], "bcc": "c@clinic.example",
        "reply_to": "desk@clinic.example", "subject": "Confirmación", "body": "Hola, Ana.", "html": "<p>Hola</p>",
        "attachments": [{"filename": "a.pdf", "content_base64": "AAEC", "content_type": "application/pdf"}],
    })
}

async fn outcome(says: impl Fn(&RecordedRequest) -> CannedResponse + Send + Sync + 'static) -> ToolOutcome {
    let service = FakeService::start(says).await;
    let world = world(&service);
    let performed = world.send(&world.call("k", "send_email", letter())).await;
    assert!(!format!("{performed:?}").contains("s3cr3t"));
    performed.outcome
}

#[tokio::test]
async fn a_letter_is_sent_whole_and_under_sendgrids_id() {
    let service = FakeService::start(|_| taken()).await;
    let world = world(&service);
    let call = world.call("k", "send_email", letter());
    assert_eq!(call.class, EffectClass::Once, "SendGrid has no idempotency key");
    let performed = world.send(&call).await;
    match &performed.outcome {
        ToolOutcome::Done { cost, .. } => assert!((cost.as_f64() - 0.0001).abs() < 1e-9),
        other => panic!("{other:?}"),
    }
    let sent = done(performed.outcome);
    assert_eq!((&sent["message_id"], &sent["provider"]), (&json!("14c5d75ce93.dfd.64b469"), &json!("sendgrid")));
    let asked = &service.received()[0];
    assert_eq!((&*asked.method, &*asked.target), ("POST", "/v3/mail/send"));
    assert_eq!(asked.header("authorization"), Some("Bearer SG.s3cr3t"));
    let expect = json!({
        "personalizations": [{
            "to": [{"email": "ana@clinic.example", "name": "Ana López"}],
            "cc": [{"email": "b@clinic.example"}],
            "bcc": [{"email": "c@clinic.example"}],
        }],
        "from": {"email": "hola@clinic.example", "name": "Clínica"},
        "reply_to": {"email": "desk@clinic.example"},
        "subject": "Confirmación",
        "content": [{"type": "text/plain", "value": "Hola, Ana."}, {"type": "text/html", "value": "<p>Hola</p>"}],
        "attachments": [{"content": "AAEC", "type": "application/pdf", "filename": "a.pdf", "disposition": "attachment"}],
        "custom_args": {"baton_message_id": sent["id"]},
    });
    assert_eq!(asked.json(), expect);
}

#[tokio::test]
async fn what_sendgrid_answers_is_certain() {
    let error = |message: &str, field: Value| json!({"errors": [{"message": message, "field": field, "help": null}]});
    for (status, body, code, again) in [
        (
            400,
            error("Does not contain a valid address.", json!("personalizations.0.to.0.email")),
            "MESSAGE_REJECTED",
            false,
        ),
        (413, error("The request is too large.", json!(null)), "MESSAGE_REJECTED", false),
        (
            401,
            error("The provided authorization grant is invalid, expired, or revoked", json!(null)),
            "SERVICE_REJECTED",
            false,
        ),
        (
            403,
            error("The from address does not match a verified Sender Identity.", json!("from")),
            "SERVICE_REJECTED",
            false,
        ),
        (429, error("too many requests", json!(null)), "RATE_LIMIT_EXCEEDED", true),
    ] {
        let told = body["errors"][0]["message"].as_str().unwrap().to_owned();
        match outcome(move |_| answer(status, &body)).await {
            ToolOutcome::NotDone { fault, retryable, .. } => {
                assert_eq!((&*fault.code, retryable), (code, again), "{status}");
                assert!(fault.message.contains(&told), "{}", fault.message);
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_letter_whose_answer_is_lost_waits_for_a_person() {
    let lost: [fn(&RecordedRequest) -> CannedResponse; 2] =
        [|_| CannedResponse::Disconnect, |_| answer(500, &json!({"errors": []}))];
    for says in lost {
        unknown(outcome(says).await);
    }
}

#[tokio::test]
async fn which_of_two_accounts_sends_must_be_said() {
    let smtp = json!({"host": "127.0.0.1", "from": "a@clinic.example", "tls": "none"});
    let sendgrid = json!({"api_key": "SG.x", "from": "a@clinic.example"});
    let provider = |email: Value| {
        let config = serde_json::from_value(json!({"email": email})).unwrap();
        crate::ToolRegistry::new(config, &ToolsFixture::new().services())
            .map(|registry| registry.describe_shared("send_email").unwrap().provider)
    };
    assert_eq!(provider(json!({"sendgrid": sendgrid})).unwrap(), "sendgrid");
    assert_eq!(provider(json!({"provider": "smtp", "smtp": smtp, "sendgrid": sendgrid})).unwrap(), "smtp");
    assert_eq!(provider(json!({"provider": "outbox", "smtp": smtp})).unwrap(), "outbox");
    let error = provider(json!({"smtp": smtp, "sendgrid": sendgrid})).unwrap_err().to_string();
    assert!(error.contains("`provider` says which"), "{error}");
    let error = provider(json!({"provider": "sendgrid"})).unwrap_err().to_string();
    assert!(error.contains("there is no `sendgrid`"), "{error}");
    let keyless = ToolsFixture::with(json!({"email": {"sendgrid": {"from": "a@clinic.example"}}}));
    assert_eq!(keyless.registry.unavailable_providers()[0].setting, "tools.email.sendgrid.api_key");
    assert_eq!(keyless.registry.facts("send_email").unwrap().class, EffectClass::Once);
}
