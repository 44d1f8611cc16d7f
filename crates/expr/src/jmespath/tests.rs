use serde_json::{Value, json};

use super::search;

/// The public compliance suite, as `testdata/jmespath/README.md` describes it.
const SUITE: &[(&str, &str)] = &[
    ("basic", include_str!("../../testdata/jmespath/basic.json")),
    ("benchmarks", include_str!("../../testdata/jmespath/benchmarks.json")),
    ("boolean", include_str!("../../testdata/jmespath/boolean.json")),
    ("current", include_str!("../../testdata/jmespath/current.json")),
    ("escape", include_str!("../../testdata/jmespath/escape.json")),
    ("filters", include_str!("../../testdata/jmespath/filters.json")),
    ("functions", include_str!("../../testdata/jmespath/functions.json")),
    ("identifiers", include_str!("../../testdata/jmespath/identifiers.json")),
    ("indices", include_str!("../../testdata/jmespath/indices.json")),
    ("literal", include_str!("../../testdata/jmespath/literal.json")),
    ("multiselect", include_str!("../../testdata/jmespath/multiselect.json")),
    ("pipe", include_str!("../../testdata/jmespath/pipe.json")),
    ("slice", include_str!("../../testdata/jmespath/slice.json")),
    ("syntax", include_str!("../../testdata/jmespath/syntax.json")),
    ("unicode", include_str!("../../testdata/jmespath/unicode.json")),
    ("wildcard", include_str!("../../testdata/jmespath/wildcard.json")),
];

/// Number of results, errors and benchmarks in the suite, so that a missing file is noticed.
const CASES: usize = 875;

/// The suite compares numbers by value, as JSON does: `2` is `2.0`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= f64::EPSILON * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn verdict(case: &Value, given: &Value) -> Result<(), String> {
    let expression = case["expression"].as_str().unwrap();
    let found = search(expression, given);
    if let Some(error) = case.get("error") {
        return match found {
            Err(_) => Ok(()),
            Ok(value) => Err(format!("wanted the error {error}, found {value}")),
        };
    }
    match (case.get("result"), found) {
        (None, _) => Ok(()),
        (Some(wanted), Ok(value)) if same(wanted, &value) => Ok(()),
        (Some(wanted), found) => Err(format!("wanted {wanted}, found {found:?}")),
    }
}

#[test]
fn every_case_of_the_public_compliance_suite_passes() {
    let mut cases = 0;
    let mut failures = Vec::new();
    for (file, text) in SUITE {
        let groups: Vec<Value> = serde_json::from_str(text).unwrap();
        for group in &groups {
            for case in group["cases"].as_array().unwrap() {
                cases += 1;
                if let Err(failure) = verdict(case, &group["given"]) {
                    failures.push(format!("{file}: {}: {failure}", case["expression"]));
                }
            }
        }
    }
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(cases, CASES);
}

#[test]
fn the_benchmarks_of_parsing_parse() {
    let groups: Vec<Value> = serde_json::from_str(include_str!("../../testdata/jmespath/benchmarks.json")).unwrap();
    for group in &groups {
        for case in group["cases"].as_array().unwrap() {
            if case["bench"] != "parse" {
                continue;
            }
            let expression = case["expression"].as_str().unwrap();
            // The suite measures how fast this expression is rejected.
            let refused = expression == "foo[bar > baz][qux > baz]";
            assert_eq!(search(expression, &group["given"]).is_err(), refused, "{expression}");
        }
    }
}

#[test]
fn the_average_of_nothing_is_null() {
    assert_eq!(search("avg(@)", &json!([])), Ok(Value::Null));
    assert_eq!(search("avg(@)", &json!([1, 2])), Ok(json!(1.5)));
}

#[test]
fn whole_numbers_stay_whole() {
    let document = json!({"n": [9_007_199_254_740_993_i64, 1], "m": 18_446_744_073_709_551_615_u64});
    assert_eq!(search("sum(n)", &document), Ok(json!(9_007_199_254_740_994_i64)));
    assert_eq!(search("abs(n[0])", &document), Ok(json!(9_007_199_254_740_993_i64)));
    assert_eq!(search("ceil(`1.2`)", &document), Ok(json!(2)));
    assert_eq!(search("m", &document), Ok(json!(18_446_744_073_709_551_615_u64)));
    assert_eq!(search("m > n[0]", &document), Ok(json!(true)));
}

#[test]
fn the_first_of_equals_is_the_greatest_and_the_least() {
    let people = json!([{"a": 1, "n": 1}, {"a": 1, "n": 2}]);
    assert_eq!(search("max_by(@, &a).n", &people), Ok(json!(1)));
    assert_eq!(search("min_by(@, &a).n", &people), Ok(json!(1)));
}

#[test]
fn a_list_needs_commas_between_its_items() {
    for source in ["[a b]", "contains(a b)", "{a: b c: d}", "[a,]", "abs(a,)", "{}", "[]a"] {
        assert!(search(source, &json!({})).is_err(), "{source}");
    }
}

#[test]
fn a_parse_error_says_where_it_is_and_what_to_do() {
    let error = |source: &str| match search(source, &json!({})) {
        Err(super::SearchError::Parse(error)) => error,
        other => panic!("{other:?}"),
    };
    let unknown = error("foo | lenght(bar)");
    assert_eq!(unknown.offset, Some(6));
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `length`?"));
    let assignment = error("a = 'b'");
    assert_eq!(assignment.offset, Some(2));
    assert_eq!(assignment.hint.as_deref(), Some("to compare, write `==`"));
    assert_eq!(error("sort_by(a, b)").hint.as_deref(), Some("put `&` before it, as in sort_by(people, &age)"));
    assert_eq!(error("abs()").message, "`abs` takes 1 argument, not 0");
    assert_eq!(error("a.b c").message, "expected an operator or the end, found `c`");
    for source in ["price > 0.7", "price > 7", "price[0.7]"] {
        assert!(error(source).hint.unwrap().contains("backticks"), "{source}");
    }
}

#[test]
fn what_grows_without_end_is_refused() {
    let doubling = vec!["[@, @]"; 60].join(" | ");
    let product = "[*].[*][].[*][].[*][].[*][]";
    let items = json!(vec![vec![1; 40]; 40]);
    for source in
        [doubling.clone(), format!("{doubling} | to_string(@)"), format!("length({doubling})"), product.to_owned()]
    {
        match search(&source, &items) {
            Ok(value) => assert!(value.to_string().len() <= crate::ExprLimits::OUTPUT_BYTES_MAX),
            Err(super::SearchError::Eval(error)) => {
                assert_eq!(error.code, crate::EvalErrorCode::Limit)
            }
            Err(super::SearchError::Parse(error)) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_source_that_nests_without_end_is_refused_on_a_small_stack() {
    let sources = ["(", "[", "[?", "!", "{a:", "a[*].", "a.*.", "abs(", "*.", "[][?a]"].map(|part| part.repeat(5_000));
    let repeated = ["a[]", "[]", "a == ", "a || ", "a && ", "a | ", "a.", "a[0]", "[?a]", "[*]", "!a == "]
        .map(|part| format!("{}a", part.repeat(3_000)));
    std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || {
            for source in sources.iter().chain(&repeated) {
                let _ = search(source, &json!({"a": [[1]]}));
            }
            let deepest = format!("{}a", "a[*].".repeat(120));
            assert_eq!(search(&deepest, &nested(90)), Ok(nested_lists(90)));
            assert!(search(&deepest, &nested(120)).is_err());
        })
        .unwrap()
        .join()
        .unwrap();
}

/// A document that a chain of `a[*].` can follow to its deepest level.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": [inner]}))
}

/// The result of `a[*].` repeated beyond the depth of such a document.
fn nested_lists(levels: usize) -> Value {
    (1..levels).fold(json!([]), |inner, _| json!([inner]))
}

#[test]
fn a_megabyte_of_source_is_refused_unread() {
    let source = "a".repeat(1024 * 1024);
    let error = search(&source, &json!({})).unwrap_err();
    assert!(error.to_string().contains("may be at most 16384"), "{error}");
}
