use serde_json::json;

use super::*;

#[track_caller]
fn check(given: &str, expect: Value) {
    let variables = json!({"total": 49.99, "n": 3});
    let result = parser::calculate(given, variables.as_object()).map(|number| number.to_json().unwrap());
    assert_eq!(result, Ok(expect), "given {given}");
}

#[track_caller]
fn refused(given: &str, expect: &str) {
    let error = parser::calculate(given, None).and_then(|n| n.to_json().ok_or("too large".into())).unwrap_err();
    assert!(error.contains(expect), "given {given}: {error}");
}

#[test]
fn operators_bind_as_in_python() {
    check("2 + 3 * 4", json!(14));
    check("(2 + 3) * 4", json!(20));
    check("-2 ** 2", json!(-4));
    check("2 ** 3 ** 2", json!(512));
    check("2 ** -1", json!(0.5));
    check("7 // 2", json!(3));
    check("-7 // 2", json!(-4));
    check("7 // -2", json!(-4));
    check("-7 // -2", json!(3));
    check("-7 % 3", json!(2));
    check("7 % -3", json!(-2));
    check("8 - 3 - 2", json!(3));
    check("--1", json!(1));
}

#[test]
fn decimals_are_exact() {
    check("0.1 + 0.2", json!(0.3));
    check("1.1 * 3", json!(3.3));
    check("total * n", json!(149.97));
    check("1 / 8", json!(0.125));
    check("10 / 5", json!(2));
    check("1 / 3", json!(1.0 / 3.0));
    check("5.5 % 2", json!(1.5));
    check("1e3 + 1e-3", json!(1000.001));
    check("9007199254740993 + 2", json!(9_007_199_254_740_995_i64));
    check("2 ** 63", json!(1_u64 << 63));
    check("10 ** 30 / 10 ** 28", json!(100));
}

#[test]
fn functions_compute() {
    check("max(1, 2.5, -3)", json!(2.5));
    check("min(4)", json!(4));
    check("round(2.5)", json!(3));
    check("round(-2.5)", json!(-3));
    check("round(total * 0.21, 2)", json!(10.5));
    check("round(1 / 3, 4)", json!(0.3333));
    check("floor(-0.5)", json!(-1));
    check("ceil(0.1)", json!(1));
    check("abs(-3)", json!(3));
    check("sqrt(16)", json!(4));
    check("sqrt(2)", json!(2.0_f64.sqrt()));
}

#[test]
fn what_cannot_be_computed_says_why() {
    refused("1 / 0", "division by zero");
    refused("1 % 0", "division by zero");
    refused("0 ** -1", "division by zero");
    refused("1e308 * 10", "overflow");
    refused("9 ** 9 ** 9", "overflow");
    refused("1e999", "too large");
    refused("sqrt(-1)", "no square root");
    refused("(-8) ** 0.5", "no such power");
    refused("price * 2", "unknown name `price`");
    refused("sin(1)", "unknown function `sin`");
    refused("2 +", "ends too early");
    refused("2 3", "unexpected `3` at byte 2");
    refused("1.2.3", "`1.2.3` is not a number");
    refused("2 $ 3", "unexpected `$`");
    refused("max()", "unexpected `)`");
    refused("", "ends too early");
    refused("é", "unexpected `é`");
}

#[test]
fn nesting_is_bounded() {
    refused(&"(".repeat(5_000), "64 levels");
    refused(&"-".repeat(5_000), "64 levels");
    refused(&"2**".repeat(1_000), "64 levels");
    refused(&"abs(".repeat(1_000), "64 levels");
}

#[test]
fn any_text_is_refused_or_computed_without_a_panic() {
    let parts = ["1", "0", ".5", "e", "-", "+", "*", "/", "%", "(", ")", "max", ",", "n", " ", "9e9", "**", "//", "é"];
    let variables = json!({"n": 170_141_183_460_469_231_731_687_303_715_884_105_727.0});
    let mut state = 11_u64;
    for _ in 0..200_000 {
        let mut given = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            given.push_str(parts[(state >> 33) as usize % parts.len()]);
        }
        let _ = parser::calculate(&given, variables.as_object()).map(ExactNumber::to_json);
    }
}

use super::number::ExactNumber;
