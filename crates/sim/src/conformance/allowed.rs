use baton_core::money::{Usd, Window};
use baton_core::time::Time;
use baton_ports::budget::{Allowance, Allowed, Line};
use serde_json::json;

use super::Limits;
use super::world::{at, other_tenant, tenant};

fn line(key: Option<&str>, window: Window) -> Line {
    Line::of(&tenant(), key, window, at(0))
}

fn limits(allowed: &impl Allowed, key: Option<&str>) -> [Option<Usd>; 3] {
    Window::ALL.map(|window| allowed.of(&line(key, window)).limit)
}

fn usd(dollars: f64) -> Option<Usd> {
    Some(Usd::from_f64(dollars))
}

/// Nobody spends without end because nobody has written anything.
pub async fn a_tenant_has_limits_unless_told_and_a_key_has_none<A: Allowed>(make: &impl AsyncFn(Limits) -> A) {
    let allowed = make(json!({})).await;
    assert!(limits(&allowed, None).iter().all(|limit| limit.is_some_and(|limit| limit > Usd::ZERO)));
    assert_eq!(limits(&allowed, Some("k1")), [None; 3]);
    assert_eq!(allowed.keys(), [""; 0]);
}

pub async fn a_tenants_own_limit_comes_before_everyones<A: Allowed>(make: &impl AsyncFn(Limits) -> A) {
    let allowed = make(json!({
        "hourly_usd": 2, "daily_usd": 20, "monthly_usd": 200,
        "tenants": { tenant().as_str(): { "hourly_usd": 0.5, "daily_usd": "unlimited" } },
    }))
    .await;
    let by_window = |tenant: &baton_core::id::TenantId| {
        [Window::Hour, Window::Day, Window::Month]
            .map(|window| allowed.of(&Line::of(tenant, None, window, at(0))).limit)
    };
    assert_eq!(by_window(&tenant()), [usd(0.5), None, usd(200.0)]);
    assert_eq!(by_window(&other_tenant()), [usd(2.0), usd(20.0), usd(200.0)]);
}

pub async fn a_keys_limits_are_its_own_and_it_is_named<A: Allowed>(make: &impl AsyncFn(Limits) -> A) {
    let allowed = make(json!({ "keys": { "k1": { "daily_usd": 1 }, "k2": { "hourly_usd": "unlimited" } } })).await;
    assert_eq!(allowed.of(&line(Some("k1"), Window::Day)).limit, usd(1.0));
    assert_eq!(allowed.of(&line(Some("k1"), Window::Hour)).limit, None);
    assert_eq!(limits(&allowed, Some("k2")), [None; 3]);
    assert_eq!(limits(&allowed, Some("k3")), [None; 3], "nobody said anything of it");
    assert_eq!(allowed.keys(), ["k1", "k2"]);
}

pub async fn what_becomes_of_a_call_is_the_keys_word_else_the_tenants_else_everyones<A: Allowed>(
    make: &impl AsyncFn(Limits) -> A,
) {
    let allowed = make(json!({
        "on_exceeded": "pause",
        "tenants": { tenant().as_str(): { "on_exceeded": "refuse" } },
        "keys": { "k1": { "on_exceeded": "pause" } },
    }))
    .await;
    let word = |line: Line| allowed.of(&line).on_exceeded;
    assert_eq!(word(Line::of(&other_tenant(), None, Window::Day, at(0))), "pause");
    assert_eq!(word(line(None, Window::Day)), "refuse");
    assert_eq!(word(line(Some("k1"), Window::Day)), "pause");
    assert_eq!(word(line(Some("k2"), Window::Day)), "refuse");
    let usual = make(json!({})).await.of(&line(None, Window::Day)).on_exceeded;
    assert!(["refuse", "pause"].contains(&usual), "{usual}");
}

pub async fn the_setting_that_limits_a_line_is_named<A: Allowed>(make: &impl AsyncFn(Limits) -> A) {
    let allowed = make(json!({
        "daily_usd": 20,
        "tenants": { tenant().as_str(): { "hourly_usd": 0.5 } },
        "keys": { "k1": { "daily_usd": 1 } },
    }))
    .await;
    let setting = |key, window| allowed.of(&line(key, window)).setting;
    let own = format!("budgets.tenants.{}.hourly_usd", tenant());
    assert_eq!(setting(None, Window::Hour), Some(own));
    assert_eq!(setting(None, Window::Day).as_deref(), Some("budgets.daily_usd"));
    assert_eq!(setting(None, Window::Month), None, "the default holds");
    assert_eq!(setting(Some("k1"), Window::Day).as_deref(), Some("budgets.keys.k1.daily_usd"));
    assert_eq!(setting(Some("k1"), Window::Hour), None, "there is no limit");
}

pub async fn a_line_is_allowed_the_same_whenever_its_window_begins<A: Allowed>(make: &impl AsyncFn(Limits) -> A) {
    let allowed = make(json!({ "daily_usd": 20 })).await;
    let of = |at: Time| -> Allowance { allowed.of(&Line::of(&tenant(), None, Window::Day, at)) };
    assert_eq!(of(at(0)), of(at(9 * 24 * 3_600_000)));
}
