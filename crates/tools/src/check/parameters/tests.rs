use serde_json::json;

use super::*;

fn schema() -> ArgumentSchema {
    ArgumentSchema::new(json!({
        "type": "object", "additionalProperties": false, "required": ["to"],
        "properties": {"to": {"type": "string", "maxLength": 5}, "day": {"type": "string", "format": "date"},
                       "count": {"type": "integer", "default": 1}}
    }))
}

#[test]
fn defaults_and_dates_are_read_from_the_schema() {
    assert_eq!(schema().defaults().get("count"), Some(&json!(1)));
    assert_eq!(schema().dates(), ["day"]);
}

#[test]
fn a_mistake_is_named_without_the_value_that_was_given() {
    let wrong = schema().check(&json!({"to": "ana@clinic.example"})).unwrap_err();
    assert!(wrong.contains("`to`") && !wrong.contains("ana@"), "{wrong}");
    let wrong = schema().check(&json!({"to": "ana", "day": "2025-02-30"})).unwrap_err();
    assert!(wrong.contains("`day`") && wrong.contains("date"), "{wrong}");
}

#[test]
fn a_mistake_says_how_it_is_written() {
    let wrong = schema().check(&json!({"to": "ana", "day": "23/11/2026"})).unwrap_err();
    assert!(wrong.contains("`day`") && wrong.ends_with("(written YYYY-MM-DD)"), "{wrong}");
    let time = json!({"properties": {"time": {"pattern": "^[0-9]{2}:[0-9]{2}$", "description": "HH:MM, 24 hours"}}});
    let wrong = ArgumentSchema::new(time).check(&json!({"time": "9"})).unwrap_err();
    assert!(wrong.contains("`time`") && wrong.ends_with("(HH:MM, 24 hours)"), "{wrong}");
}

#[test]
fn a_misspelt_argument_is_told_from_what_was_meant() {
    let wrong = schema().check(&json!({"to": "ana", "cuont": 2})).unwrap_err();
    assert!(wrong.contains("did you mean `count`?"), "{wrong}");
}

#[test]
fn many_mistakes_are_not_all_told() {
    let list = ArgumentSchema::new(json!({"items": {"type": "string"}}));
    let wrong = list.check(&json!([1, 2, 3, 4, 5, 6, 7])).unwrap_err();
    assert!(wrong.ends_with("; and more"), "{wrong}");
}

#[test]
fn a_broken_schema_says_so() {
    assert!(ArgumentSchema::new(json!({"type": "strnig"})).compile().is_err());
    assert!(ArgumentSchema::new(Value::Null).compile().is_ok());
}
