use std::time::Duration;

use baton_core::tool::EffectClass;
use reqwest::header::HeaderName;
use serde_json::json;

use super::*;
use crate::code;
use crate::config::SecretString;
use crate::testing::service::{CannedResponse, FakeService, json as answer, redirect};
use crate::tool_error::ToolError;

/// An address at which nothing listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// A vendor whose errors look like `{"error": {"message", "type"}}`.
fn vendor(base: &str) -> VendorApi {
    let base = serde_json::from_value(json!(base)).unwrap();
    VendorApi::new("acme", base, Arc::new(OutboundClient::new(crate::settings::OutboundConfig::default())), |answer| {
        let complaint = VendorError::from_response(answer, &["/error/message"])?;
        let meaning = match answer.value().pointer("/error/type").and_then(|kind| kind.as_str()) {
            Some("bad_number") => VendorErrorMeaning::Refused(code::INVALID_PARAMETERS),
            Some("slow_down") => VendorErrorMeaning::RetryLater(code::RATE_LIMIT_EXCEEDED),
            Some("same_key") => VendorErrorMeaning::Unclear,
            Some(_) | None => VendorErrorMeaning::AsStatus,
        };
        Some(VendorError { meaning, ..complaint })
    })
}

fn says(status: u16, kind: &str, message: &str) -> CannedResponse {
    answer(status, &json!({"error": {"type": kind, "message": message}}))
}

async fn failure(class: EffectClass, says: impl Fn() -> CannedResponse + Send + Sync + 'static) -> ToolError {
    let service = FakeService::start(move |_| says()).await;
    let secret = SecretString::new("s3cr3t");
    let auth = VendorAuth::Basic { username: "me", password: &secret };
    vendor(&service.url("")).post(&["send"]).auth(auth).json(&json!({})).send(class).await.unwrap_err()
}

#[track_caller]
fn not_done(failure: ToolError) -> (String, bool, Option<u64>) {
    match failure {
        ToolError::NotDone { fault, retryable, retry_after } => (fault.code.into_owned(), retryable, retry_after),
        ToolError::Unknown { fault } | ToolError::NeedsInput { fault, .. } => panic!("expected it not done: {fault:?}"),
    }
}

#[tokio::test]
async fn what_is_sent_is_what_was_put_together() {
    let service = FakeService::start(|_| answer(200, &json!({"ok": true}))).await;
    let vendor = vendor(&service.url("/proxy/acme/"));
    let secret = SecretString::new("s3cr3t");
    let fields = [("To", "+34 612"), ("Body", "año & co"), ("Body", "2")];
    let basic = VendorAuth::Basic { username: "AC1", password: &secret };
    vendor
        .post(&["v1", "a/b c"])
        .auth(basic)
        .idempotency_key("run/n/0/0")
        .form(&fields)
        .send(EffectClass::Keyed)
        .await
        .unwrap();
    let header = VendorAuth::Header { name: HeaderName::from_static("api-key"), secret: &secret };
    let query = [("q", "a&b")];
    vendor.get(&["list"]).auth(header).query(&query).send(EffectClass::Read).await.unwrap();
    let asked = service.received();
    assert_eq!((&*asked[0].method, &*asked[0].target), ("POST", "/proxy/acme/v1/a%2Fb%20c"));
    assert_eq!(asked[0].header("authorization"), Some("Basic QUMxOnMzY3IzdA=="));
    assert_eq!(asked[0].header("idempotency-key"), Some("run/n/0/0"));
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked[0].body, "To=%2B34%20612&Body=a%C3%B1o%20%26%20co&Body=2");
    assert_eq!((&*asked[1].target, asked[1].header("api-key")), ("/proxy/acme/list?q=a%26b", Some("s3cr3t")));
}

#[tokio::test]
async fn a_path_never_leads_upwards_and_an_href_never_to_another_host() {
    let vendor = vendor("https://api.acme.example/v1");
    for path in [["..", "admin"], ["", "x"], [".", "x"]] {
        assert_eq!(not_done(vendor.get(&path).send(EffectClass::Once).await.unwrap_err()).0, code::INVALID_PARAMETERS);
    }
    for href in ["https://evil.example/", "//evil.example/x", "http://api.acme.example/", "https://a:b@evil.example/"] {
        let failure = vendor.request_at(Method::GET, href).send(EffectClass::Read).await.unwrap_err();
        assert!(failure.fault().message.contains("another host"), "{href}: {failure:?}");
    }
    assert_eq!(vendor.base.at("/cal/1.ics").unwrap().as_str(), "https://api.acme.example/cal/1.ics");
}

#[tokio::test]
async fn a_refusal_is_certain_and_in_the_vendors_words() {
    let refused =
        failure(EffectClass::Once, || says(400, "bad", "no such  thing\nfor s3cr3t and ana@clinic.example")).await;
    assert!(
        refused.fault().message.ends_with("/send answered 400: no such thing for [REDACTED] and [REDACTED_EMAIL]"),
        "{refused:?}"
    );
    assert_eq!(not_done(refused), ("SERVICE_REJECTED".to_owned(), false, None));
    let number = failure(EffectClass::Once, || says(400, "bad_number", "not a number")).await;
    assert_eq!(not_done(number), ("INVALID_PARAMETERS".to_owned(), false, None));
    let echo = failure(EffectClass::Once, || {
        CannedResponse::Answer(401, String::new(), "bad key bWU6czNjcjN0 s3cr3t".to_owned())
    })
    .await;
    assert!(echo.fault().message.ends_with("bad key [REDACTED] [REDACTED]"), "{echo:?}");
    let long = failure(EffectClass::Once, || says(400, "bad", &"x".repeat(10_000))).await;
    assert!(long.fault().message.len() < 700);
}

#[tokio::test]
async fn a_busy_vendor_says_when_to_come_back() {
    let busy = |status, header: &'static str| move || CannedResponse::Answer(status, header.to_owned(), String::new());
    for status in [429, 503] {
        let failure = failure(EffectClass::Once, busy(status, "retry-after: 7\r\n")).await;
        let (_, retryable, wait) = not_done(failure);
        assert_eq!((retryable, wait), (true, Some(7_000)), "{status}");
    }
    let date = "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 07:29:30 GMT\r\n";
    assert_eq!(not_done(failure(EffectClass::Once, busy(429, date)).await).2, Some(90_000));
    assert_eq!(not_done(failure(EffectClass::Once, busy(429, "retry-after: soon\r\n")).await).2, None);
    let worded = failure(EffectClass::Once, || says(400, "slow_down", "wait")).await;
    assert_eq!(not_done(worded), ("RATE_LIMIT_EXCEEDED".to_owned(), true, None));
}

#[tokio::test]
async fn what_may_have_been_done_is_unknown_for_an_act_and_asked_again_for_a_read() {
    for class in [EffectClass::Once, EffectClass::Verify, EffectClass::Keyed] {
        for says in [
            || says(500, "x", "oops"),
            || says(503, "x", "gone"),
            || says(409, "same_key", "busy"),
            || CannedResponse::Disconnect,
        ] {
            let failure = failure(class, says).await;
            assert!(matches!(failure, ToolError::Unknown { .. }), "{class:?} {failure:?}");
        }
    }
    assert!(not_done(failure(EffectClass::Read, || says(500, "x", "oops")).await).1);
    assert!(not_done(failure(EffectClass::Read, || CannedResponse::Disconnect).await).1);
}

#[tokio::test]
async fn what_was_not_sent_is_not_done() {
    let unreachable = vendor(NOBODY).post(&["send"]).send(EffectClass::Once).await.unwrap_err();
    assert_eq!(not_done(unreachable), ("SERVICE_UNAVAILABLE".to_owned(), true, None));
    let secret = SecretString::new("a\nb");
    let asked = vendor(NOBODY).get(&["x"]).auth(VendorAuth::Bearer(&secret)).send(EffectClass::Once).await;
    let failure = asked.unwrap_err();
    assert!(!failure.fault().message.contains("a\nb"), "{failure:?}");
    assert_eq!(not_done(failure).0, code::INVALID_PARAMETERS);
}

#[tokio::test]
async fn a_step_may_have_less_time_than_the_call() {
    let service = FakeService::start(|_| CannedResponse::NoResponse).await;
    let asked =
        vendor(&service.url("")).post(&["token"]).timeout(Duration::from_millis(20)).send(EffectClass::Read).await;
    assert_eq!(not_done(asked.unwrap_err()), ("TIMEOUT".to_owned(), true, None));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_at_all() {
    let other = FakeService::start(|_| answer(200, &json!({}))).await;
    let to = other.url("/");
    let service = FakeService::start(move |asked| match asked.target.as_str() {
        "/away" => redirect(307, &to),
        "/moved" => redirect(307, "/here"),
        "/nowhere" => redirect(303, "/here"),
        "/same" => redirect(304, "/here"),
        _ => answer(200, &json!({"target": asked.target})),
    })
    .await;
    let vendor = vendor(&service.url(""));
    let away = vendor.post(&["away"]).json(&json!({"card": 1})).send(EffectClass::Once).await.unwrap_err();
    assert_eq!(not_done(away).0, code::ADDRESS_NOT_ALLOWED);
    assert!(other.received().is_empty());
    assert_eq!(vendor.post(&["moved"]).send(EffectClass::Once).await.unwrap().value(), json!({"target": "/here"}));
    // It may be done, with its result at the other address: the outcome is unknown.
    assert!(matches!(vendor.post(&["nowhere"]).send(EffectClass::Once).await, Err(ToolError::Unknown { .. })));
    assert_eq!(not_done(vendor.post(&["same"]).send(EffectClass::Once).await.unwrap_err()).0, code::SERVICE_REJECTED);
}

#[test]
fn a_base_is_an_address_and_nothing_more() {
    for url in ["api.acme.example", "ftp://acme.example", "https://me:pw@acme.example", "https://acme.example/?a=b"] {
        let error = serde_json::from_value::<BaseUrl>(json!(url)).unwrap_err().to_string();
        assert!(!error.contains("pw"), "{error}");
    }
}
