//! Operations on text, lists, objects, dates and money.

use serde_json::json;

use super::{check, expr, moment};
use crate::{Condition, ConditionLanguage, EvalErrorCode, JsonContext};

#[test]
fn the_methods_of_python_work() {
    check(
        &json!({"s": "  Hello World ", "o": {"b": 2, "a": 1}, "csv": "a,b,c"}),
        &[
            ("s.strip().lower()", json!("hello world")),
            ("s.strip().upper()", json!("HELLO WORLD")),
            ("s.lstrip()", json!("Hello World ")),
            ("'xxaxx'.strip('x')", json!("a")),
            ("csv.startswith('a,') and csv.endswith('c')", json!(true)),
            ("csv.split(',')", json!(["a", "b", "c"])),
            ("csv.split(',', 1)", json!(["a", "b,c"])),
            ("' a  b '.split()", json!(["a", "b"])),
            ("csv.replace(',', ' ')", json!("a b c")),
            ("csv.replace(',', ' ', 1)", json!("a b,c")),
            ("'-'.join(csv.split(','))", json!("a-b-c")),
            ("csv.find('b')", json!(2)),
            ("csv.find('z')", json!(-1)),
            ("csv.count(',')", json!(2)),
            ("'12'.isdigit() and not 'a1'.isalpha()", json!(true)),
            ("'7'.zfill(3)", json!("007")),
            ("'hello world'.title()", json!("Hello World")),
            ("'hELLO'.capitalize()", json!("Hello")),
            ("o.keys()", json!(["a", "b"])),
            ("o.values()", json!([1, 2])),
            ("o.items()", json!([["a", 1], ["b", 2]])),
            ("[3, 1, 3].count(3)", json!(2)),
            ("[3, 1].index(1)", json!(1)),
            ("'a\\nb'.splitlines()", json!(["a", "b"])),
        ],
    );
}

#[test]
fn the_filters_of_jinja_work() {
    let people = json!([
        {"name": "Bea", "age": 40, "team": {"id": 2}, "on": true},
        {"name": "abe", "age": 30, "team": {"id": 1}, "on": false},
        {"name": "Cy", "age": 35, "team": {"id": 2}, "on": true},
    ]);
    check(
        &json!({"people": people, "xs": [3, 1, 2, 3], "words": ["b", "A", "c"]}),
        &[
            ("people|map(attribute='name')|join(', ')", json!("Bea, abe, Cy")),
            ("people|join('/', attribute='team.id')", json!("2/1/2")),
            ("people|map(attribute='nick', default='-')|list", json!(["-", "-", "-"])),
            ("people|selectattr('on')|map(attribute='name')|first", json!("Bea")),
            ("people|rejectattr('on')|map(attribute='name')|list", json!(["abe"])),
            ("people|selectattr('age', 'ge', 35)|length", json!(2)),
            ("people|selectattr('team.id', 'equalto', 1)|map(attribute='age')|first", json!(30)),
            ("people|sort(attribute='name')|map(attribute='name')|list", json!(["abe", "Bea", "Cy"])),
            (
                "people|sort(attribute='age', reverse=true)|first",
                json!({"name": "Bea", "age": 40, "team": {"id": 2}, "on": true}),
            ),
            ("people|sum(attribute='age')", json!(105)),
            ("people|max(attribute='age')", json!({"name": "Bea", "age": 40, "team": {"id": 2}, "on": true})),
            ("people|groupby('team.id')|map('first')|list", json!([1, 2])),
            ("people|groupby('team.id')|map('last')|map('length')|list", json!([1, 2])),
            ("xs|sort", json!([1, 2, 3, 3])),
            ("xs|unique", json!([3, 1, 2])),
            ("xs|min ~ xs|max ~ xs|sum", json!("139")),
            ("max(1, 5, 3) + min([4, 2])", json!(7)),
            ("words|sort", json!(["A", "b", "c"])),
            ("words|map('upper')|join", json!("BAC")),
            ("words|select('equalto', 'b')|list", json!(["b"])),
            ("xs|reject('odd')|list", json!([2])),
            ("xs|reverse|first", json!(3)),
            ("'abc'|reverse", json!("cba")),
            ("xs|batch(3, 0)", json!([[3, 1, 2], [3, 0, 0]])),
            ("range(3)|list + range(4, 0, -2)|list", json!([0, 1, 2, 4, 2])),
            ("{'b': 1, 'a': 2}|dictsort", json!([["a", 2], ["b", 1]])),
            ("{'b': 1, 'a': 2}|items|list", json!([["a", 2], ["b", 1]])),
            ("'<b>'|e", json!("&lt;b&gt;")),
            ("'a b/ñ'|urlencode", json!("a%20b/%C3%B1")),
            ("'one two three'|truncate(9)", json!("one...")),
            ("'one two three'|truncate(9, true)", json!("one tw...")),
            ("'one two'|wordcount", json!(2)),
            ("'a\\nb'|indent(2)", json!("a\n  b")),
            ("'42'|int + '1.5'|float", json!(43.5)),
            ("'x'|int(7)", json!(7)),
            ("3.7|int", json!(3)),
            ("2.5|round ~ ' ' ~ 2.345|round(2)", json!("3.0 2.35")),
            ("2.1|round(method='ceil')", json!(3.0)),
            ("{'a': [1, null]}|tojson", json!("{\"a\":[1,null]}")),
            ("{'a': [1]}|tojson(2)", json!("{\n  \"a\": [\n    1\n  ]\n}")),
            ("[1, 'a', true, none]|string", json!("[1, \"a\", true, null]")),
            ("'%s: %05.1f %x%%'|format('a', 2.25, 255)", json!("a: 002.2 ff%")),
            ("any([0, 1]) and not all([0, 1])", json!(true)),
            ("dict(a=1).a + dict(b=2)['b']", json!(3)),
        ],
    );
}

#[test]
fn dates_are_read_compared_moved_and_written() {
    let names = json!({"d": "2025-11-08", "t": "2025-11-08T10:00:00+01:00", "z": "2025-11-07T22:00"});
    check(
        &names,
        &[
            ("today()", json!("2025-11-07")),
            ("now()", json!("2025-11-07T22:30:00+00:00")),
            ("date_is_future(d)", json!(true)),
            ("date_is_future('today') or date_is_past('hoy')", json!(false)),
            ("date_is_past(z) and date_is_past('ayer')", json!(true)),
            ("days_until(d) + days_until('pasado mañana') + days_until('yesterday')", json!(2)),
            ("date_add(d, 30)", json!("2025-12-08")),
            ("date_add('tomorrow', -1)", json!("2025-11-07")),
            ("date_add(t, 1)", json!("2025-11-09T09:00:00+00:00")),
            ("d|date('%d/%m/%Y')", json!("08/11/2025")),
            ("t|date('%A %-d %B %Y, %H:%M')", json!("Saturday 8 November 2025, 09:00")),
            ("t|date", json!("2025-11-08")),
        ],
    );
    let madrid = JsonContext::new(&names, moment()).in_zone("Europe/Madrid");
    let value = |source: &str| Condition::parse(ConditionLanguage::Expr, source).unwrap().value(&madrid);
    assert_eq!(value("now()"), Ok(json!("2025-11-07T23:30:00+01:00")));
    assert_eq!(value("date_is_past('2025-11-07T23:00')"), Ok(json!(true)));
    assert_eq!(value("t|date('%H:%M')"), Ok(json!("10:00")));
}

#[test]
fn what_is_no_date_is_refused_with_the_way_to_write_one() {
    for source in ["date_is_future('08/11/2025')", "''|date", "'2025-13-01'|date", "date_add('today', 10 ** 30)"] {
        assert_eq!(expr(source, &json!({})).unwrap_err().code, EvalErrorCode::BadValue, "{source}");
    }
    assert_eq!(expr("5|date", &json!({})).unwrap_err().code, EvalErrorCode::WrongType);
    let pattern = expr("'2025-11-08'|date('%99999999d')", &json!({})).unwrap_err();
    assert_eq!(pattern.hint.as_deref(), Some("for instance '%d/%m/%Y %H:%M'"));
    assert!(expr("'2025-11-08'|date('%z')", &json!({})).is_err());
}

#[test]
fn money_is_written_the_same_everywhere_unless_told_otherwise() {
    check(
        &json!({"price": 1_234_567.5}),
        &[
            ("price|money", json!("1234567.50")),
            ("price|money('EUR')", json!("1234567.50 EUR")),
            ("price|money('USD', thousands=',')", json!("1,234,567.50 USD")),
            ("price|money('EUR', point=',', thousands='.')", json!("1.234.567,50 EUR")),
            ("1500|money('JPY')", json!("1500 JPY")),
            ("-0.001|money", json!("0.00")),
            ("-12.5|money('EUR')", json!("-12.50 EUR")),
            ("'12'|money('EUR', 0)", json!("12 EUR")),
        ],
    );
}

#[test]
fn large_whole_numbers_are_exact() {
    check(
        &json!({"n": 9_007_199_254_740_993_i64, "u": u64::MAX}),
        &[
            ("n + 1", json!(9_007_199_254_740_994_i64)),
            ("u", json!(u64::MAX)),
            ("u - 1", json!(u64::MAX - 1)),
            ("u == 18446744073709551615", json!(true)),
        ],
    );
    assert_eq!(expr("u + 1", &json!({"u": u64::MAX})).unwrap_err().code, EvalErrorCode::BadValue);
}
