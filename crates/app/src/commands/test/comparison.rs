//! Compares the expected with the actual result.

use baton_core::run::{CallRole, executed_path, performed_effects};
use baton_expr::{Condition, ConditionLanguage, JsonContext};
use serde::Serialize;
use serde_json::{Value, json};

use super::case::{NameOrGroup, WorkflowTest};
use super::environment::TestTrace;
use crate::print;

/// Maximum number of characters of a value to print.
const SHOWN_MAX: usize = 2_000;

/// One difference from the expected result.
#[derive(Debug, PartialEq, Serialize)]
pub struct TestDifference {
    pub place: String,
    pub expected: Value,
    pub found: Value,
}

impl TestDifference {
    fn new(place: impl Into<String>, expected: Value, found: Value) -> Self {
        Self { place: place.into(), expected, found }
    }

    pub fn print_difference(&self) {
        print::line(format_args!("    {}", self.place));
        for (word, colour, value) in [("expected", "32", &self.expected), ("found", "31", &self.found)] {
            if !value.is_null() || word == "found" {
                print::line(format_args!("      {} {}", print::paint(colour, &format!("{word:<8}")), shortened(value)));
            }
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// All differences from the expected result.
pub fn differences(case: &WorkflowTest, played: &TestTrace) -> Vec<TestDifference> {
    let mut found: Vec<TestDifference> =
        played.problems.iter().map(|problem| TestDifference::new("script", Value::Null, json!(problem))).collect();
    if played.run.started().is_none() {
        return found;
    }
    let seen = TestObservation::of(played);
    let expect = &case.expect;
    if let Some(state) = expect.state.filter(|state| *state != played.run.state()) {
        let fault = played.run.fault().map(|fault| format!(" ({fault})")).unwrap_or_default();
        found.push(TestDifference::new("state", json!(state), json!(format!("{}{fault}", played.run.state()))));
    }
    if let Some(error) = expect.error.as_ref().filter(|error| **error != seen.error) {
        found.push(TestDifference::new("error", error.clone(), seen.error.clone()));
    }
    found.extend(expect.path.as_ref().and_then(|path| sequence("path", path, &seen.path)));
    found.extend(expect.effects.as_ref().and_then(|effects| sequence("effects", effects, &seen.effects)));
    found.extend(expect.desk.as_ref().and_then(|desk| group("desk", desk, &seen.desk)));
    if let Some(output) = &expect.output {
        compare("output", output, &seen.output, &mut found);
    }
    for (node, output) in &expect.outputs {
        compare(&format!("outputs.{node}"), output, seen.outputs.get(node).unwrap_or(&Value::Null), &mut found);
    }
    let document = seen.document(played);
    found.extend(expect.holds.iter().filter_map(|expression| check_expression(expression, &document, played)));
    found
}

/// The observable facts of a run.
struct TestObservation {
    path: Vec<String>,
    effects: Vec<String>,
    desk: Vec<String>,
    output: Value,
    outputs: Value,
    error: Value,
}

impl TestObservation {
    fn of(played: &TestTrace) -> Self {
        let run = &played.run;
        let effect = |(_, tool, role): (_, String, CallRole)| match role {
            CallRole::Act => tool,
            CallRole::Undo => format!("undo {tool}"),
        };
        let kind = |kind: Value| kind.as_str().unwrap_or_default().to_owned();
        Self {
            path: executed_path(&played.entries).iter().map(ToString::to_string).collect(),
            effects: performed_effects(&played.entries).into_iter().map(effect).collect(),
            desk: played.desk.iter().map(|item| kind(json!(item.kind))).collect(),
            output: run.finished().map(|end| (*end.output).clone()).unwrap_or_default(),
            outputs: Value::Object(run.outputs()),
            error: run.fault().map_or(Value::Null, |fault| json!(fault.code)),
        }
    }

    /// The document that `holds` expressions are evaluated over.
    fn document(&self, played: &TestTrace) -> Value {
        json!({
            "state": played.run.state(),
            "output": self.output,
            "outputs": self.outputs,
            "error": self.error,
            "path": self.path,
            "effects": self.effects,
            "desk": self.desk,
            "undone": played.run.finished().and_then(|end| end.undone.clone()),
            "cost_usd": played.run.cost().as_f64(),
        })
    }
}

fn check_expression(expression: &str, document: &Value, played: &TestTrace) -> Option<TestDifference> {
    let names = JsonContext::new(document, played.run.now().to_timestamp());
    let value = match Condition::parse(ConditionLanguage::JmesPath, expression).map(|parsed| parsed.value(&names)) {
        Ok(Ok(Value::Bool(true))) => return None,
        Ok(Ok(value)) => value,
        Ok(Err(error)) => json!(error.to_string()),
        Err(error) => json!(error.to_string()),
    };
    Some(TestDifference::new(format!("holds: {expression}"), json!(true), value))
}

/// Compares names in order. A group matches its members in any order.
fn sequence(place: &str, expected: &[NameOrGroup], found: &[String]) -> Option<TestDifference> {
    let mut rest = found;
    for step in expected {
        let length = match step {
            NameOrGroup::One(_) => 1,
            NameOrGroup::Group(names) => names.len(),
        };
        let fits = rest.split_at_checked(length).is_some_and(|(here, _)| match step {
            NameOrGroup::One(name) => here == [name.clone()],
            NameOrGroup::Group(names) => is_same_group(names, here),
        });
        if !fits {
            return Some(differs(place, expected, found));
        }
        rest = &rest[length..];
    }
    (!rest.is_empty()).then(|| differs(place, expected, found))
}

fn differs(place: &str, expected: &[NameOrGroup], found: &[String]) -> TestDifference {
    let expected = expected.iter().map(|step| match step {
        NameOrGroup::One(name) => json!(name),
        NameOrGroup::Group(names) => json!(names),
    });
    TestDifference::new(place, expected.collect(), json!(found))
}

fn group(place: &str, expected: &[String], found: &[String]) -> Option<TestDifference> {
    (!is_same_group(expected, found)).then(|| TestDifference::new(place, json!(expected), json!(found)))
}

fn is_same_group(expected: &[String], found: &[String]) -> bool {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    sorted(expected) == sorted(found)
}

/// An object must contain at least the expected fields. Everything else must be equal, with numbers compared by value.
fn compare(place: &str, expected: &Value, found: &Value, differences: &mut Vec<TestDifference>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, value) in wanted {
                compare(&format!("{place}.{key}"), value, there.get(key).unwrap_or(&Value::Null), differences);
            }
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (at, (value, item)) in wanted.iter().zip(there).enumerate() {
                compare(&format!("{place}[{at}]"), value, item, differences);
            }
        }
        (Value::Number(wanted), Value::Number(there)) if wanted.as_f64() == there.as_f64() => {}
        _ if expected == found => {}
        _ => differences.push(TestDifference::new(place, expected.clone(), found.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Value, found: Value, places: &[&str]) {
        let mut differences = Vec::new();
        compare("output", &expected, &found, &mut differences);
        assert_eq!(differences.iter().map(|difference| difference.place.as_str()).collect::<Vec<_>>(), places);
    }

    #[test]
    fn an_object_holds_at_least_what_is_expected() {
        check(json!({"a": 1}), json!({"a": 1.0, "b": 2}), &[]);
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), &["output.a.b"]);
        check(json!({"a": null}), json!({}), &[]);
        check(json!({"a": 1}), json!([]), &["output"]);
    }

    #[test]
    fn a_list_has_as_many_items_each_compared_alike() {
        check(json!([{"a": 1}]), json!([{"a": 1, "b": 2}]), &[]);
        check(json!([1, 2]), json!([1, 3]), &["output[1]"]);
        check(json!([1]), json!([1, 2]), &["output"]);
        check(json!("1"), json!(1), &["output"]);
    }

    #[test]
    fn a_group_is_met_in_any_order_and_a_sequence_is_not() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected =
            [NameOrGroup::One("a".into()), NameOrGroup::Group(names(&["b", "c"])), NameOrGroup::One("d".into())];
        let fits = |found: &[&str]| sequence("path", &expected, &names(found)).is_none();
        assert!(fits(&["a", "b", "c", "d"]) && fits(&["a", "c", "b", "d"]));
        assert!(!fits(&["a", "b", "d", "c"]));
        assert!(!fits(&["a", "b", "c"]) && !fits(&["a", "b", "c", "d", "e"]) && !fits(&[]));
    }
}
