use std::time::Duration;

use baton_core::tool::Class;
use reqwest::header::HeaderName;
use serde_json::json;

use super::*;
use crate::code;
use crate::config::Secret;
use crate::failure::Failure;
use crate::testing::service::{Says, Service, json as answer, redirect};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// A vendor whose errors look like `{"error": {"message", "type"}}`.
fn vendor(base: &str) -> Vendor {
    let base = serde_json::from_value(json!(base)).unwrap();
    Vendor::new("acme", base, Arc::new(Outbound::new(crate::settings::Outbound::default())), |answer| {
        let complaint = Complaint::worded(answer, &["/error/message"])?;
        let meaning = match answer.value().pointer("/error/type").and_then(|kind| kind.as_str()) {
            Some("bad_number") => Meaning::Refused(code::INVALID_PARAMETERS),
            Some("slow_down") => Meaning::Later(code::RATE_LIMIT_EXCEEDED),
            Some("same_key") => Meaning::Unclear,
            Some(_) | None => Meaning::AsStatus,
        };
        Some(Complaint { meaning, ..complaint })
    })
}

fn says(status: u16, kind: &str, message: &str) -> Says {
    answer(status, &json!({"error": {"type": kind, "message": message}}))
}

async fn failure(class: Class, says: impl Fn() -> Says + Send + Sync + 'static) -> Failure {
    let service = Service::start(move |_| says()).await;
    let secret = Secret::new("s3cr3t");
    let auth = Auth::Basic { username: "me", password: &secret };
    vendor(&service.url("")).post(&["send"]).auth(auth).json(&json!({})).send(class).await.unwrap_err()
}

#[track_caller]
fn not_done(failure: Failure) -> (String, bool, Option<u64>) {
    match failure {
        Failure::NotDone { fault, retryable, retry_after } => (fault.code.into_owned(), retryable, retry_after),
        Failure::Unknown { fault } | Failure::Asks { fault, .. } => panic!("expected it not done: {fault:?}"),
    }
}

#[tokio::test]
async fn what_is_sent_is_what_was_put_together() {
    let service = Service::start(|_| answer(200, &json!({"ok": true}))).await;
    let vendor = vendor(&service.url("/proxy/acme/"));
    let secret = Secret::new("s3cr3t");
    let fields = [("To", "+34 612"), ("Body", "año & co"), ("Body", "2")];
    let basic = Auth::Basic { username: "AC1", password: &secret };
    vendor.post(&["v1", "a/b c"]).auth(basic).keyed("run/n/0/0").form(&fields).send(Class::Keyed).await.unwrap();
    let header = Auth::Header { name: HeaderName::from_static("api-key"), secret: &secret };
    let query = [("q", "a&b")];
    vendor.get(&["list"]).auth(header).query(&query).send(Class::Read).await.unwrap();
    let asked = service.asked();
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
        assert_eq!(not_done(vendor.get(&path).send(Class::Once).await.unwrap_err()).0, code::INVALID_PARAMETERS);
    }
    for href in ["https://evil.example/", "//evil.example/x", "http://api.acme.example/", "https://a:b@evil.example/"] {
        let failure = vendor.ask_at(Method::GET, href).send(Class::Read).await.unwrap_err();
        assert!(failure.fault().message.contains("another host"), "{href}: {failure:?}");
    }
    assert_eq!(vendor.base.at("/cal/1.ics").unwrap().as_str(), "https://api.acme.example/cal/1.ics");
}

#[tokio::test]
async fn a_refusal_is_certain_and_in_the_vendors_words() {
    let refused = failure(Class::Once, || says(400, "bad", "no such  thing\nfor s3cr3t and ana@clinic.example")).await;
    assert!(
        refused.fault().message.ends_with("/send answered 400: no such thing for [REDACTED] and [REDACTED_EMAIL]"),
        "{refused:?}"
    );
    assert_eq!(not_done(refused), ("SERVICE_REJECTED".to_owned(), false, None));
    let number = failure(Class::Once, || says(400, "bad_number", "not a number")).await;
    assert_eq!(not_done(number), ("INVALID_PARAMETERS".to_owned(), false, None));
    let echo =
        failure(Class::Once, || Says::Answer(401, String::new(), "bad key bWU6czNjcjN0 s3cr3t".to_owned())).await;
    assert!(echo.fault().message.ends_with("bad key [REDACTED] [REDACTED]"), "{echo:?}");
    let long = failure(Class::Once, || says(400, "bad", &"x".repeat(10_000))).await;
    assert!(long.fault().message.len() < 700);
}

#[tokio::test]
async fn a_busy_vendor_says_when_to_come_back() {
    let busy = |status, header: &'static str| move || Says::Answer(status, header.to_owned(), String::new());
    for status in [429, 503] {
        let failure = failure(Class::Once, busy(status, "retry-after: 7\r\n")).await;
        let (_, retryable, wait) = not_done(failure);
        assert_eq!((retryable, wait), (true, Some(7_000)), "{status}");
    }
    let date = "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 07:29:30 GMT\r\n";
    assert_eq!(not_done(failure(Class::Once, busy(429, date)).await).2, Some(90_000));
    assert_eq!(not_done(failure(Class::Once, busy(429, "retry-after: soon\r\n")).await).2, None);
    let worded = failure(Class::Once, || says(400, "slow_down", "wait")).await;
    assert_eq!(not_done(worded), ("RATE_LIMIT_EXCEEDED".to_owned(), true, None));
}

#[tokio::test]
async fn what_may_have_been_done_is_unknown_for_an_act_and_asked_again_for_a_read() {
    for class in [Class::Once, Class::Verify, Class::Keyed] {
        for says in
            [|| says(500, "x", "oops"), || says(503, "x", "gone"), || says(409, "same_key", "busy"), || Says::HangsUp]
        {
            let failure = failure(class, says).await;
            assert!(matches!(failure, Failure::Unknown { .. }), "{class:?} {failure:?}");
        }
    }
    assert!(not_done(failure(Class::Read, || says(500, "x", "oops")).await).1);
    assert!(not_done(failure(Class::Read, || Says::HangsUp).await).1);
}

#[tokio::test]
async fn what_was_not_sent_is_not_done() {
    let unreachable = vendor(NOBODY).post(&["send"]).send(Class::Once).await.unwrap_err();
    assert_eq!(not_done(unreachable), ("SERVICE_UNAVAILABLE".to_owned(), true, None));
    let secret = Secret::new("a\nb");
    let asked = vendor(NOBODY).get(&["x"]).auth(Auth::Bearer(&secret)).send(Class::Once).await;
    let failure = asked.unwrap_err();
    assert!(!failure.fault().message.contains("a\nb"), "{failure:?}");
    assert_eq!(not_done(failure).0, code::INVALID_PARAMETERS);
}

#[tokio::test]
async fn a_step_may_have_less_time_than_the_call() {
    let service = Service::start(|_| Says::Nothing).await;
    let asked = vendor(&service.url("")).post(&["token"]).within(Duration::from_millis(20)).send(Class::Read).await;
    assert_eq!(not_done(asked.unwrap_err()), ("TIMEOUT".to_owned(), true, None));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_at_all() {
    let other = Service::start(|_| answer(200, &json!({}))).await;
    let to = other.url("/");
    let service = Service::start(move |asked| match asked.target.as_str() {
        "/away" => redirect(307, &to),
        "/moved" => redirect(307, "/here"),
        "/nowhere" => redirect(303, "/here"),
        "/same" => redirect(304, "/here"),
        _ => answer(200, &json!({"target": asked.target})),
    })
    .await;
    let vendor = vendor(&service.url(""));
    let away = vendor.post(&["away"]).json(&json!({"card": 1})).send(Class::Once).await.unwrap_err();
    assert_eq!(not_done(away).0, code::ADDRESS_NOT_ALLOWED);
    assert!(other.asked().is_empty());
    assert_eq!(vendor.post(&["moved"]).send(Class::Once).await.unwrap().value(), json!({"target": "/here"}));
    // It is done, and can be seen there: that nobody knows is all that can be said.
    assert!(matches!(vendor.post(&["nowhere"]).send(Class::Once).await, Err(Failure::Unknown { .. })));
    assert_eq!(not_done(vendor.post(&["same"]).send(Class::Once).await.unwrap_err()).0, code::SERVICE_REJECTED);
}

#[test]
fn a_base_is_an_address_and_nothing_more() {
    for url in ["api.acme.example", "ftp://acme.example", "https://me:pw@acme.example", "https://acme.example/?a=b"] {
        let error = serde_json::from_value::<Base>(json!(url)).unwrap_err().to_string();
        assert!(!error.contains("pw"), "{error}");
    }
}
