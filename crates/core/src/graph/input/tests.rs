use serde_json::{Value, json};

use super::InputDeclaration;
use crate::definition::{DefinitionCatalog, check as read};

/// The input declaration in this text.
fn declared(input: &str) -> InputDeclaration {
    let text = format!("name: x\ninput: {input}\nnodes:\n  - {{id: a, duration: 1s}}\n");
    let checked = read(text.as_bytes(), &DefinitionCatalog::default());
    checked.workflow.unwrap_or_else(|| panic!("{:?}", checked.diagnostics)).input
}

/// Checks the accepted input, or the error message.
#[track_caller]
fn check(input: &str, given: Value, expected: Result<Value, &str>) {
    let found = match declared(input).validate(&given) {
        Ok(completed) => Ok(completed.unwrap_or(given)),
        Err(unfit) => Err(unfit.to_string()),
    };
    assert_eq!(found, expected.map_err(|said| format!("the input does not fit: {said}")));
}

#[test]
fn where_nothing_is_declared_anything_is_taken() {
    for given in [json!({"a": 1}), json!([1]), json!(null)] {
        assert_eq!(InputDeclaration::default().validate(&given), Ok(None));
    }
}

#[test]
fn a_key_with_a_type_must_be_there_and_be_of_it() {
    check("{n: number}", json!({"n": 2.5}), Ok(json!({"n": 2.5})));
    check("{n: number}", json!({"n": "2"}), Err("`n` must be a number, found a string"));
    check("{n: number}", json!({}), Err("`n` is missing"));
    check("{n: integer}", json!({"n": 2.0}), Ok(json!({"n": 2.0})));
    check("{n: integer}", json!({"n": 2.5}), Err("`n` must be an integer, found a number"));
    check("{n: 'null'}", json!({"n": null}), Ok(json!({"n": null})));
    check("{n: string}", json!({"n": null}), Err("`n` must be a string, found null"));
}

#[test]
fn a_key_of_which_nothing_is_said_may_be_left_out_and_be_anything() {
    check("{n: }", json!({}), Ok(json!({})));
    check("{n: }", json!({"n": [1]}), Ok(json!({"n": [1]})));
}

#[test]
fn a_default_stands_in_for_a_key_that_was_left_out() {
    let input = "{language: {type: string, default: en}, message: string}";
    check(input, json!({"message": "a"}), Ok(json!({"message": "a", "language": "en"})));
    check(input, json!({"message": "a", "language": "es"}), Ok(json!({"message": "a", "language": "es"})));
    check("{note: {type: [string, 'null'], default: null}}", json!({}), Ok(json!({"note": null})));
}

#[test]
fn a_schema_says_where_a_value_does_not_fit_and_does_not_show_it() {
    let input = "{order: {type: object, required: [id], properties: {id: {type: string, minLength: 3}}}}";
    check(input, json!({"order": {"id": "abc"}}), Ok(json!({"order": {"id": "abc"}})));
    check(input, json!({"order": {"id": "12"}}), Err("`order.id`: the value is shorter than 3 characters"));
    check(input, json!({"order": {}}), Err("`order`: \"id\" is a required property"));
}

#[test]
fn what_is_not_declared_is_let_through_and_known_for_a_slip_of_the_hand() {
    check("{message: string}", json!({"message": "a", "more": 1}), Ok(json!({"message": "a", "more": 1})));
    check("{message: string}", json!({"mesage": "a"}), Err("`message` is missing; there is `mesage`"));
    assert_eq!(declared("{message: string}").undeclared(&json!({"mesage": 1, "message": 2})), ["mesage"]);
    assert!(InputDeclaration::default().undeclared(&json!({"a": 1})).is_empty());
}

#[test]
fn an_input_that_is_no_object_has_no_keys() {
    check("{n: number}", json!([1]), Err("it must be an object, found an array"));
    check("{n: }", json!(null), Err("it must be an object, found null"));
}

#[test]
fn many_mistakes_are_named_up_to_a_limit() {
    let input = "{a: string, b: string, c: string, d: string, e: string, f: string, g: string}";
    let said = declared(input).validate(&json!({})).unwrap_err().to_string();
    assert!(said.ends_with("`e` is missing; and 2 more"), "{said}");
}

#[test]
fn text_is_known_to_be_wanted_by_type_and_by_schema() {
    let input = declared(
        "{a: string, b: {type: string, maxLength: 3}, c: number, d: , f: {type: [string, \"null\"]}, g: {type: [string, number]}}",
    );
    let found: Vec<bool> =
        ["a", "b", "c", "d", "e", "f", "g"].iter().map(|name| input.accepts_only_text(name)).collect();
    assert_eq!(found, [true, true, false, false, false, true, false]);
}
