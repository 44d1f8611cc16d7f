//! Operators, fields, and missing values.

use serde_json::json;

use super::{check, expr};
use crate::EvalErrorCode;

#[test]
fn the_conditions_of_the_seeds_hold() {
    let names = json!({"available_slots": ["09:00-10:00", "10:00-11:00"], "confidence": 0.8, "date": "tomorrow"});
    check(
        &names,
        &[
            (r#""10:00-11:00" in available_slots and confidence > 0.7"#, json!(true)),
            (r#""15:00-16:00" in available_slots"#, json!(false)),
            ("date_is_future(date)", json!(true)),
            ("not date_is_past(date)", json!(true)),
            ("available_slots|length == 2 and len(available_slots) == 2", json!(true)),
        ],
    );
}

#[test]
fn operators_bind_as_in_jinja_and_python() {
    check(
        &json!({"x": 5, "s": "abc", "n": null, "xs": [1, 2, 3]}),
        &[
            ("1 + 2 * 3", json!(7)),
            ("(1 + 2) * 3", json!(9)),
            ("7 // 2 - 7 % 4", json!(0)),
            ("-7 // 2", json!(-4)),
            ("-7 % 3", json!(2)),
            ("7 // -2", json!(-4)),
            ("7 % -3", json!(-2)),
            ("6 / 2", json!(3.0)),
            ("2 ** 10", json!(1024)),
            ("2 ** -1", json!(0.5)),
            ("1 < x <= 5 != 4", json!(true)),
            ("1 < x < 3", json!(false)),
            ("not x == 5 or s", json!("abc")),
            ("x and 0", json!(0)),
            ("'a' ~ 1 ~ true", json!("a1true")),
            ("'a' ~ 1 + 'b' ~ 2", json!("a1b2")),
            ("'a' + 'b'", json!("ab")),
            ("'ab' * 2", json!("abab")),
            ("[1] + [2]", json!([1, 2])),
            ("[0] * 3", json!([0, 0, 0])),
            ("-3|abs", json!(3)),
            ("x if x > 3 else 'small'", json!(5)),
            ("'a' if false else 'b' if false else 'c'", json!("c")),
            ("x not in xs", json!(true)),
            ("'b' in s and 2 in xs", json!(true)),
            ("n is none and n == none and n == null and None == n", json!(true)),
            ("x is not none and x is number and s is string", json!(true)),
            ("not x is odd", json!(false)),
            ("x is divisibleby 5", json!(true)),
            ("x is in [5, 6]", json!(true)),
            ("1 == 1.0", json!(true)),
            ("{'a': 1, 'b': [x]}", json!({"a": 1, "b": [5]})),
            ("(1, 'a')", json!([1, "a"])),
        ],
    );
}

#[test]
fn fields_items_and_slices_are_found() {
    check(
        &json!({"o": {"a": {"b": [10, 20, {"c": "x"}]}, "items": 3, "key-1": 1}, "s": "héllo", "k": "a"}),
        &[
            ("o.a.b[0]", json!(10)),
            ("o.a.b.1", json!(20)),
            ("o.a.b[-1].c", json!("x")),
            ("o['a']['b'][2]['c']", json!("x")),
            ("o[k].b|length", json!(3)),
            ("o.items", json!(3)),
            ("o['key-1']", json!(1)),
            ("o.a.b[:2]", json!([10, 20])),
            ("o.a.b[::-1][1]", json!(20)),
            ("s[1]", json!("é")),
            ("s[-1] ~ s[1:3]", json!("oél")),
            ("o.get('nothing')", json!(null)),
            ("o.get('nothing', 7)", json!(7)),
        ],
    );
}

#[test]
fn what_is_not_there_is_an_error_that_says_what_was() {
    let names = json!({"weather": {"temp": 18, "condition": "rainy"}, "stock": null});
    let error = |source: &str| expr(source, &names).unwrap_err();

    let unknown = error("wether.temp > 3");
    assert_eq!(unknown.code, EvalErrorCode::UnknownName);
    assert_eq!(unknown.message, "unknown name `wether`: there are `stock`, `weather`");
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `weather`?"));

    let field = error("weather.tmp > 3");
    assert_eq!(field.code, EvalErrorCode::MissingField);
    assert_eq!(field.message, "`weather` has no field `tmp`: there are `condition`, `temp`");
    assert_eq!(field.hint.as_deref(), Some("did you mean `temp`?"));

    assert_eq!(error("stock.price").message, "`stock` is null, so it has no field `price`");
    assert_eq!(error("weather.temp.max").message, "`weather.temp` is a number, so it has no field `max`");
    assert_eq!(error("weather.a.b.c").message, "`weather` has no field `a`: there are `condition`, `temp`");
    for source in [
        "nothing",
        "not nothing",
        "nothing and true",
        "nothing == 1",
        "nothing ~ ''",
        "[nothing]",
        "nothing|upper",
        "len(nothing)",
        "1 in nothing",
        "'a' if nothing else 'b'",
    ] {
        assert_eq!(error(source).code, EvalErrorCode::UnknownName, "{source}");
    }
}

#[test]
fn what_is_not_there_may_be_defaulted_or_asked_about() {
    let names = json!({"a": {"b": null, "e": ""}});
    check(
        &names,
        &[
            ("nothing|default('x')", json!("x")),
            ("nothing.at.all|d('x')", json!("x")),
            ("a.c|default('x')", json!("x")),
            ("a.c.d.e|default(1) + 1", json!(2)),
            ("a.b|default('x')", json!(null)),
            ("a.b|default('x', true)", json!("x")),
            ("a.e|default('x', boolean=true)", json!("x")),
            ("nothing is defined", json!(false)),
            ("nothing is not defined and nothing is undefined", json!(true)),
            ("a.b is defined", json!(true)),
            ("a.b.c is defined", json!(false)),
            ("nothing is defined and nothing.field > 3", json!(false)),
            ("true or nothing", json!(true)),
            ("1 if true else nothing", json!(1)),
            ("[]|first|default('none')", json!("none")),
        ],
    );
}
