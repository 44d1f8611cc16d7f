use serde_json::{Value, json};

use super::{ParamsDialect, ParamsTemplate};
use crate::{EvalError, EvalErrorCode, ExprLimits, JsonContext};

fn names() -> Value {
    json!({
        "weather": {"temp": 18, "condition": "rainy", "hours": [{"at": 9}, {"at": 10}]},
        "stock": {"price": 1.5},
        "key": ["a"],
        "user": {"name": "Ana"},
        "nothing": null,
    })
}

fn render(source: Value, dialect: ParamsDialect) -> Result<Value, EvalError> {
    let params = ParamsTemplate::parse(&source, dialect).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    params.render(&JsonContext::new(&names(), jiff::Timestamp::UNIX_EPOCH))
}

/// Checks the result of each source in the `steps` form.
fn check(cases: &[(Value, Value)]) {
    for (source, wanted) in cases {
        assert_eq!(render(source.clone(), ParamsDialect::Steps).as_ref(), Ok(wanted), "{source}");
    }
}

#[test]
fn references_keep_the_type_of_what_they_name() {
    check(&[
        (json!("$weather.temp"), json!(18)),
        (json!("$stock"), json!({"price": 1.5})),
        (json!("$weather.hours[1].at"), json!(10)),
        (json!("$weather.hours.0.at"), json!(9)),
        (json!("{key}"), json!(["a"])),
        (json!("{weather[temp]}"), json!(18)),
        (json!("{weather['condition']}"), json!("rainy")),
        (json!("{user.name}"), json!("Ana")),
        (json!("$nothing"), json!(null)),
        (json!({"data": ["$stock.price", {"deep": "{weather[temp]}"}]}), json!({"data": [1.5, {"deep": 18}]})),
    ]);
}

#[test]
fn a_missing_field_of_a_known_step_is_null_and_an_unknown_step_an_error() {
    check(&[(json!("$weather.wind.speed"), json!(null)), (json!("{stock[volume]}"), json!(null))]);
    let error = render(json!({"to": [{"city": "$wether.temp"}]}), ParamsDialect::Steps).unwrap_err();
    assert_eq!(error.code, EvalErrorCode::UnknownName);
    assert!(error.message.starts_with("in `to.0.city`: unknown name `wether`: there are `key`"), "{}", error.message);
    assert_eq!(error.hint.as_deref(), Some("did you mean `weather`?"));
}

#[test]
fn what_only_looks_like_a_reference_is_text() {
    for text in
        ["$100", "$ 5", "$5.99", "costs $weather.temp", "{not a name}", "{\"json\": true}", "{}", "$", "{1}", "a {key}"]
    {
        check(&[(json!(text), json!(text))]);
    }
    check(&[
        (json!("$$weather"), json!("$weather")),
        (json!("$$"), json!("$")),
        (json!("{{ '{key}' }}"), json!("{key}")),
    ]);
    let error = render(json!("$USD"), ParamsDialect::Steps).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("if it is text and no reference, write `$$USD`"));
    let error = render(json!("{placeholder}"), ParamsDialect::Steps).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("if it is text and no reference, write `{{ '{placeholder}' }}`"));
}

#[test]
fn the_edges_form_knows_no_references() {
    for text in ["$weather.temp", "{key}", "$$x"] {
        assert_eq!(render(json!(text), ParamsDialect::Edges), Ok(json!(text)));
    }
}

#[test]
fn a_string_that_is_one_expression_keeps_its_type_and_any_other_template_is_text() {
    for dialect in [ParamsDialect::Edges, ParamsDialect::Steps] {
        for (source, wanted) in [
            (json!("{{ weather.temp }}"), json!(18)),
            (json!("{{weather.hours}}\n"), json!([{"at": 9}, {"at": 10}])),
            (json!("{{ stock.price * 2 > 2 }}"), json!(true)),
            (json!("{{ nothing }}"), json!(null)),
            (json!("{{ missing | default([]) }}"), json!([])),
            (json!("{{ weather.temp }} °C"), json!("18 °C")),
            (json!(" {{ weather.temp }}"), json!(" 18")),
            (json!("{% if weather.temp > 10 %}warm{% endif %}"), json!("warm")),
            (json!("a{# note #}b"), json!("ab")),
        ] {
            assert_eq!(render(source.clone(), dialect), Ok(wanted), "{source}");
        }
    }
}

#[test]
fn what_has_no_holes_is_a_literal() {
    let source = json!({"a": [1, "two", null, true, {"b": "plain { text }"}]});
    let params = ParamsTemplate::parse(&source, ParamsDialect::Steps).unwrap();
    assert_eq!(params.literal(), Some(&source));
    assert!(params.roots().is_empty());
    let escaped = ParamsTemplate::parse(&json!({"a": "$$x"}), ParamsDialect::Steps).unwrap();
    assert_eq!(escaped.literal(), Some(&json!({"a": "$x"})));
}

#[test]
fn roots_are_those_of_every_leaf() {
    let source = json!({"a": "$weather.temp", "b": ["{key}", "{{ user.name }} {{ stock }}"], "{{ c }}": 1});
    let params = ParamsTemplate::parse(&source, ParamsDialect::Steps).unwrap();
    assert_eq!(params.roots().iter().collect::<Vec<_>>(), ["key", "stock", "user", "weather"]);
}

#[test]
fn a_leaf_that_does_not_parse_is_named_by_its_place() {
    let error =
        ParamsTemplate::parse(&json!({"message": {"body": ["ok", "{{ a "]}}), ParamsDialect::Edges).unwrap_err();
    assert_eq!(error.message, "in `message.body.1`: the tag is not closed with `}}`");
    assert_eq!(error.offset, Some(0));
}

#[test]
fn all_leaves_together_may_spend_what_one_expression_may() {
    let slow = "{{ range(9000)|sum }}";
    assert!(render(json!(slow), ParamsDialect::Edges).is_ok());
    let error = render(json!(vec![slow; 100]), ParamsDialect::Edges).unwrap_err();
    assert_eq!(error.code, EvalErrorCode::Limit);
    let large = "{{ 'a' * 200000 }}";
    assert!(render(json!(large), ParamsDialect::Edges).is_ok());
    assert_eq!(render(json!([large, large]), ParamsDialect::Edges).unwrap_err().code, EvalErrorCode::Limit);
}

#[test]
fn a_tree_too_large_or_too_deep_is_refused() {
    let wide = json!(vec![1; ExprLimits::PARAMS_NODES_MAX + 1]);
    assert!(ParamsTemplate::parse(&wide, ParamsDialect::Edges).is_err());
    let deep = (0..=ExprLimits::OUTPUT_DEPTH_MAX).fold(json!("{{ key }}"), |inner, _| json!([inner]));
    assert!(ParamsTemplate::parse(&deep, ParamsDialect::Edges).is_err());
    // Each is shallow enough alone; the combined result is not.
    let outer = (0..60).fold(json!("{{ inner }}"), |inner, _| json!([inner]));
    let inner = json!({"inner": (0..60).fold(json!(1), |inner, _| json!([inner]))});
    let params = ParamsTemplate::parse(&outer, ParamsDialect::Edges).unwrap();
    let error = params.render(&JsonContext::new(&inner, jiff::Timestamp::UNIX_EPOCH)).unwrap_err();
    assert_eq!(error.code, EvalErrorCode::Limit);
}
