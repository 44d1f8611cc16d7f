use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Condition, ConditionLanguage};
use crate::{EvalContext, EvalError, EvalErrorCode};

/// A run with nodes whose outputs are made on demand, and input names that are borrowed.
struct StepOutputContext {
    steps: Value,
    input: Value,
}

impl EvalContext for StepOutputContext {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        let step = self.steps.get(root).map(|output| Cow::Owned(output.clone()));
        step.or_else(|| self.input.get(root).map(Cow::Borrowed))
    }

    fn known_names(&self) -> Vec<String> {
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        [keys(&self.steps), keys(&self.input)].concat()
    }

    fn is_step(&self, root: &str) -> bool {
        self.steps.get(root).is_some()
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

fn run() -> StepOutputContext {
    StepOutputContext {
        steps: json!({
            "classify_intent": {"intent": "return_request", "confidence": 0.9},
            "step1": {"success": true, "note": ""},
            "wrapped": {"output": {"intent": "inner"}, "intent": "outer"},
            "said": "hello",
            "skipped": {"skipped": true},
        }),
        input: json!({"amount": 12, "nothing": null, "tags": ["vip", "new"], "output": {"intent": "edge"}}),
    }
}

fn holds(language: ConditionLanguage, source: &str) -> Result<bool, EvalError> {
    Condition::parse(language, source).unwrap_or_else(|error| panic!("{source}: {error:?}")).holds(&run())
}

fn structured(field: &str, operator: &str, value: Value) -> Result<bool, EvalError> {
    Condition::structured(field, operator, value).unwrap().holds(&run())
}

fn roots(condition: &Condition) -> Vec<&str> {
    condition.roots().iter().map(String::as_str).collect()
}

#[test]
fn the_jmespath_conditions_of_the_seeds_hold() {
    for source in [
        "classify_intent.output.intent == 'return_request'",
        "classify_intent.intent == 'return_request'",
        "output.intent == 'edge'",
        "step1.output.success == true",
        "step1.output.success == `true`",
        "step1.success != false && amount > `10`",
        "contains(tags, 'vip')",
        "said.output == 'hello'",
        "nothing == null",
        "amount",
    ] {
        assert_eq!(holds(ConditionLanguage::JmesPath, source), Ok(true), "{source}");
    }
    assert_eq!(holds(ConditionLanguage::JmesPath, "classify_intent.output.intent == 'other'"), Ok(false));
    assert_eq!(holds(ConditionLanguage::JmesPath, "step1.note"), Ok(false));
}

#[test]
fn the_output_of_a_step_is_the_step_unless_it_has_a_field_of_that_name() {
    for (language, inner, outer) in [
        (ConditionLanguage::JmesPath, "wrapped.output.intent == 'inner'", "wrapped.intent == 'outer'"),
        (ConditionLanguage::Expr, "wrapped.output.intent == 'inner'", "wrapped.intent == 'outer'"),
        (ConditionLanguage::Field, "wrapped.output.intent", "classify_intent.output.intent"),
    ] {
        assert_eq!(holds(language, inner), Ok(true), "{inner}");
        assert_eq!(holds(language, outer), Ok(true), "{outer}");
    }
    assert_eq!(holds(ConditionLanguage::Expr, "classify_intent.output.confidence > 0.7"), Ok(true));
    assert_eq!(structured("classify_intent.output.intent", "==", json!("return_request")), Ok(true));
    // `amount` is not a step, so this is a field that it does not have.
    assert_eq!(holds(ConditionLanguage::JmesPath, "amount.output == null"), Ok(true));
    assert_eq!(holds(ConditionLanguage::Expr, "amount.output").unwrap_err().code, EvalErrorCode::MissingField);
}

#[test]
fn an_unknown_root_is_an_error_in_every_language() {
    for (language, source) in [
        (ConditionLanguage::JmesPath, "clasify_intent.intent == 'x'"),
        (ConditionLanguage::JmesPath, "tags[?@ == 'vip'] && clasify_intent"),
        (ConditionLanguage::Expr, "clasify_intent.intent == 'x'"),
        (ConditionLanguage::Field, "clasify_intent.intent"),
    ] {
        let error = holds(language, source).unwrap_err();
        assert_eq!(error.code, EvalErrorCode::UnknownName, "{source}");
        assert!(error.message.starts_with("unknown name `clasify_intent`: there are "), "{}", error.message);
        assert_eq!(error.hint.as_deref(), Some("did you mean `classify_intent`?"));
    }
    assert_eq!(structured("clasify_intent.intent", "==", json!(1)).unwrap_err().code, EvalErrorCode::UnknownName);
}

#[test]
fn below_a_root_a_missing_field_is_null_except_in_expr() {
    assert_eq!(holds(ConditionLanguage::JmesPath, "step1.nothing.at.all == null"), Ok(true));
    assert_eq!(holds(ConditionLanguage::Field, "step1.nothing"), Ok(false));
    assert_eq!(structured("skipped.temp", "is_none", Value::Null), Ok(true));
    assert_eq!(holds(ConditionLanguage::Expr, "step1.nothing").unwrap_err().code, EvalErrorCode::MissingField);
}

#[test]
fn bare_literals_are_reported_for_a_hint_and_are_no_roots() {
    let condition =
        Condition::parse(ConditionLanguage::JmesPath, "step1.ok == true || tags[?@ == null] && false").unwrap();
    let bare: Vec<(&str, usize)> =
        condition.bare_literals().iter().map(|bare| (bare.word.as_str(), bare.offset)).collect();
    assert_eq!(bare, [("true", 12), ("null", 31), ("false", 40)]);
    assert_eq!(roots(&condition), ["step1", "tags"]);
    let standard = Condition::parse(ConditionLanguage::JmesPath, "step1.true == `true`").unwrap();
    assert_eq!(standard.bare_literals(), []);
}

#[test]
fn a_bare_literal_is_the_field_where_there_is_one() {
    let mut run = run();
    let condition = Condition::parse(ConditionLanguage::JmesPath, "amount == true").unwrap();
    assert_eq!(condition.holds(&run), Ok(false));
    run.input["true"] = json!(12);
    assert_eq!(condition.holds(&run), Ok(true));
    run.input["items"] = json!([{"on": true}, {"on": 7, "true": 7}, {"on": false}]);
    let filter = Condition::parse(ConditionLanguage::JmesPath, "length(items[?on == true])").unwrap();
    assert_eq!(filter.value(&run), Ok(json!(2)));
}

#[test]
fn roots_are_what_is_looked_up_at_the_root_and_nothing_below() {
    for (source, wanted) in [
        ("a.b.c[0] == 'x'", vec!["a"]),
        ("a[?b > c].d | e", vec!["a"]),
        ("[a, b.c] | [0].d", vec!["a", "b"]),
        ("{x: a, y: not_null(b, c)}", vec!["a", "b", "c"]),
        ("sort_by(a, &b)[*].c", vec!["a"]),
        ("@.a || !b && c.*", vec!["a", "b", "c"]),
        ("\"my-step\".x", vec!["my-step"]),
    ] {
        assert_eq!(roots(&Condition::parse(ConditionLanguage::JmesPath, source).unwrap()), wanted, "{source}");
    }
}

#[test]
fn the_whole_of_the_names_is_an_object() {
    let condition = Condition::parse(ConditionLanguage::JmesPath, "length(keys(@))").unwrap();
    assert_eq!(condition.value(&run()), Ok(json!(9)));
    // A projection omits nulls, and `nothing` is one.
    let values = Condition::parse(ConditionLanguage::JmesPath, "length(*)").unwrap();
    assert_eq!(values.value(&run()), Ok(json!(8)));
}

#[test]
fn structured_operators_compare_as_seed_003_does() {
    for (field, operator, value, wanted) in [
        ("amount", "==", json!(12.0), true),
        ("amount", "!=", json!("12"), true),
        ("amount", ">", json!(11.5), true),
        ("amount", "<", json!(12), false),
        ("amount", ">=", json!(12), true),
        ("amount", "<=", json!(12), true),
        ("said", "<", json!("world"), true),
        ("tags", "contains", json!("vip"), true),
        ("tags", "not_contains", json!("old"), true),
        ("said", "contains", json!("ell"), true),
        ("step1", "contains", json!("success"), true),
        ("nothing", "contains", json!("x"), false),
        ("said", "in", json!(["hello", "bye"]), true),
        ("amount", "not_in", json!([1, 2]), true),
        ("said", "starts_with", json!("he"), true),
        ("amount", "starts_with", json!("1"), false),
        ("said", "ends_with", json!("lo"), true),
        ("nothing", "is_none", Value::Null, true),
        ("said", "not_none", Value::Null, true),
        ("tags[1]", "==", json!("new"), true),
        ("tags.0", "==", json!("vip"), true),
        ("amount", "GREATER_THAN", json!(1), true),
    ] {
        assert_eq!(structured(field, operator, value.clone()), Ok(wanted), "{field} {operator} {value}");
    }
}

#[test]
fn ordering_against_null_is_false() {
    for operator in ["<", ">", "<=", ">="] {
        assert_eq!(structured("nothing", operator, json!(1)), Ok(false));
        assert_eq!(structured("step1.temp", operator, json!(1)), Ok(false));
        assert_eq!(structured("amount", operator, Value::Null), Ok(false));
    }
    let error = structured("said", ">", json!(1)).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (EvalErrorCode::WrongType, "`>` has no meaning between a string and a number")
    );
}

#[test]
fn an_unknown_operator_or_language_is_refused_with_the_nearest() {
    let error = Condition::structured("a", "contians", Value::Null).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `contains`?"));
    let error = Condition::structured("a", "===", Value::Null).unwrap_err();
    assert!(error.hint.is_some());
    assert!(Condition::structured("a b", "==", Value::Null).is_err());
    assert_eq!("python".parse(), Ok(ConditionLanguage::Expr));
    let error = "jmespth".parse::<ConditionLanguage>().unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `jmespath`?"));
}

#[test]
fn truth_is_that_of_the_language() {
    assert_eq!(holds(ConditionLanguage::JmesPath, "`0`"), Ok(true));
    assert_eq!(holds(ConditionLanguage::Expr, "0"), Ok(false));
    assert_eq!(holds(ConditionLanguage::Expr, "''"), Ok(false));
    assert_eq!(holds(ConditionLanguage::JmesPath, "`[]`"), Ok(false));
    assert_eq!(holds(ConditionLanguage::Expr, "[0]"), Ok(true));
}

#[test]
fn the_braces_of_a_template_around_a_condition_are_named() {
    for language in [ConditionLanguage::JmesPath, ConditionLanguage::Expr] {
        let error = Condition::parse(language, " {{ a > 1 }}").unwrap_err();
        assert_eq!(error.message, "a condition is written without `{{ }}`");
    }
}

#[test]
fn a_condition_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Condition>();
    shared::<crate::ParamsTemplate>();
    shared::<crate::JinjaTemplate>();
}
