//! Filters, methods and tests: the operations on a value, and their names.

use crate::error::ParseError;
use crate::suggest::nearest;

/// An operation on a value. Filters, methods and some functions are names for the same operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueOperation {
    Abs,
    Attribute,
    Batch,
    Bool,
    Capitalize,
    Count,
    Cycle,
    Date,
    Default,
    DictSort,
    EndsWith,
    Escape,
    Find,
    First,
    Float,
    Format,
    Get,
    GroupBy,
    Indent,
    Index,
    Int,
    IsAlpha,
    IsDigit,
    Items,
    Join,
    JoinItems,
    Keys,
    Last,
    Length,
    Lines,
    List,
    Lower,
    Map,
    Max,
    Min,
    Money,
    PadZeros,
    Reject,
    RejectAttribute,
    Replace,
    Reverse,
    Round,
    Safe,
    Select,
    SelectAttribute,
    Sort,
    Split,
    StartsWith,
    String,
    Sum,
    Title,
    ToJson,
    Trim,
    TrimEnd,
    TrimStart,
    Truncate,
    Unique,
    Upper,
    UrlEncode,
    Values,
    WordCount,
}

const FILTERS: &[(&str, ValueOperation)] = &[
    ("abs", ValueOperation::Abs),
    ("attr", ValueOperation::Attribute),
    ("batch", ValueOperation::Batch),
    ("bool", ValueOperation::Bool),
    ("capitalize", ValueOperation::Capitalize),
    ("count", ValueOperation::Length),
    ("d", ValueOperation::Default),
    ("date", ValueOperation::Date),
    ("default", ValueOperation::Default),
    ("dictsort", ValueOperation::DictSort),
    ("e", ValueOperation::Escape),
    ("escape", ValueOperation::Escape),
    ("first", ValueOperation::First),
    ("float", ValueOperation::Float),
    ("format", ValueOperation::Format),
    ("groupby", ValueOperation::GroupBy),
    ("indent", ValueOperation::Indent),
    ("int", ValueOperation::Int),
    ("items", ValueOperation::Items),
    ("join", ValueOperation::Join),
    ("keys", ValueOperation::Keys),
    ("last", ValueOperation::Last),
    ("length", ValueOperation::Length),
    ("lines", ValueOperation::Lines),
    ("list", ValueOperation::List),
    ("lower", ValueOperation::Lower),
    ("map", ValueOperation::Map),
    ("max", ValueOperation::Max),
    ("min", ValueOperation::Min),
    ("money", ValueOperation::Money),
    ("pprint", ValueOperation::ToJson),
    ("reject", ValueOperation::Reject),
    ("rejectattr", ValueOperation::RejectAttribute),
    ("replace", ValueOperation::Replace),
    ("reverse", ValueOperation::Reverse),
    ("round", ValueOperation::Round),
    ("safe", ValueOperation::Safe),
    ("select", ValueOperation::Select),
    ("selectattr", ValueOperation::SelectAttribute),
    ("sort", ValueOperation::Sort),
    ("split", ValueOperation::Split),
    ("string", ValueOperation::String),
    ("sum", ValueOperation::Sum),
    ("title", ValueOperation::Title),
    ("tojson", ValueOperation::ToJson),
    ("trim", ValueOperation::Trim),
    ("truncate", ValueOperation::Truncate),
    ("unique", ValueOperation::Unique),
    ("upper", ValueOperation::Upper),
    ("urlencode", ValueOperation::UrlEncode),
    ("values", ValueOperation::Values),
    ("wordcount", ValueOperation::WordCount),
];

const METHODS: &[(&str, ValueOperation)] = &[
    ("capitalize", ValueOperation::Capitalize),
    ("count", ValueOperation::Count),
    ("cycle", ValueOperation::Cycle),
    ("endswith", ValueOperation::EndsWith),
    ("find", ValueOperation::Find),
    ("get", ValueOperation::Get),
    ("index", ValueOperation::Index),
    ("isalpha", ValueOperation::IsAlpha),
    ("isdigit", ValueOperation::IsDigit),
    ("items", ValueOperation::Items),
    ("join", ValueOperation::JoinItems),
    ("keys", ValueOperation::Keys),
    ("lower", ValueOperation::Lower),
    ("lstrip", ValueOperation::TrimStart),
    ("replace", ValueOperation::Replace),
    ("rstrip", ValueOperation::TrimEnd),
    ("split", ValueOperation::Split),
    ("splitlines", ValueOperation::Lines),
    ("startswith", ValueOperation::StartsWith),
    ("strip", ValueOperation::Trim),
    ("title", ValueOperation::Title),
    ("upper", ValueOperation::Upper),
    ("values", ValueOperation::Values),
    ("zfill", ValueOperation::PadZeros),
];

impl ValueOperation {
    /// Returns the operation of a filter.
    pub(super) fn filter(name: &str) -> Result<Self, ParseError> {
        find(FILTERS, name).ok_or_else(|| unknown("filter", name, FILTERS))
    }

    /// Returns the operation of a method.
    pub(super) fn method(name: &str) -> Result<Self, ParseError> {
        let changes = ["append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "sort"];
        find(METHODS, name).ok_or_else(|| {
            let error = unknown("method", name, METHODS);
            match find(FILTERS, name) {
                _ if changes.contains(&name) => {
                    error.hint("values are never changed in place; make a new one, as in `a + [b]`")
                }
                Some(_) => error.hint(format!("`{name}` is a filter: write `value|{name}`")),
                None => error,
            }
        })
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        let named = FILTERS.iter().chain(METHODS).find(|(name, operation)| *operation == self && name.len() > 1);
        named.map_or("", |(name, _)| name)
    }
}

/// A test of a value with `is`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueTest {
    Boolean,
    Containing,
    Defined,
    DivisibleBy,
    Empty,
    EndingWith,
    Equal,
    Even,
    False,
    Float,
    Greater,
    GreaterOrEqual,
    In,
    Integer,
    Iterable,
    Less,
    LessOrEqual,
    Lower,
    Mapping,
    NotEqual,
    Null,
    Number,
    Odd,
    Sequence,
    StartingWith,
    String,
    True,
    Undefined,
    Upper,
}

const TESTS: &[(&str, ValueTest)] = &[
    ("boolean", ValueTest::Boolean),
    ("containing", ValueTest::Containing),
    ("defined", ValueTest::Defined),
    ("divisibleby", ValueTest::DivisibleBy),
    ("empty", ValueTest::Empty),
    ("endingwith", ValueTest::EndingWith),
    ("eq", ValueTest::Equal),
    ("equalto", ValueTest::Equal),
    ("even", ValueTest::Even),
    ("false", ValueTest::False),
    ("False", ValueTest::False),
    ("float", ValueTest::Float),
    ("ge", ValueTest::GreaterOrEqual),
    ("greaterthan", ValueTest::Greater),
    ("gt", ValueTest::Greater),
    ("in", ValueTest::In),
    ("integer", ValueTest::Integer),
    ("iterable", ValueTest::Iterable),
    ("le", ValueTest::LessOrEqual),
    ("lessthan", ValueTest::Less),
    ("lower", ValueTest::Lower),
    ("lt", ValueTest::Less),
    ("mapping", ValueTest::Mapping),
    ("ne", ValueTest::NotEqual),
    ("none", ValueTest::Null),
    ("None", ValueTest::Null),
    ("null", ValueTest::Null),
    ("number", ValueTest::Number),
    ("odd", ValueTest::Odd),
    ("sameas", ValueTest::Equal),
    ("sequence", ValueTest::Sequence),
    ("startingwith", ValueTest::StartingWith),
    ("string", ValueTest::String),
    ("true", ValueTest::True),
    ("True", ValueTest::True),
    ("undefined", ValueTest::Undefined),
    ("upper", ValueTest::Upper),
];

impl ValueTest {
    pub(super) fn named(name: &str) -> Result<Self, ParseError> {
        find(TESTS, name).ok_or_else(|| unknown("test", name, TESTS))
    }

    /// Returns whether the test takes an argument, as in `is divisibleby 3`.
    pub(super) fn takes_argument(self) -> bool {
        matches!(
            self,
            ValueTest::Containing
                | ValueTest::DivisibleBy
                | ValueTest::EndingWith
                | ValueTest::Equal
                | ValueTest::Greater
                | ValueTest::GreaterOrEqual
                | ValueTest::In
                | ValueTest::Less
                | ValueTest::LessOrEqual
                | ValueTest::NotEqual
                | ValueTest::StartingWith
        )
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        TESTS.iter().find(|(_, test)| *test == self).map_or("", |(name, _)| name)
    }
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, found)| *found)
}

fn unknown<T>(what: &str, name: &str, table: &[(&'static str, T)]) -> ParseError {
    ParseError::new(format!("there is no {what} `{name}`"))
        .did_you_mean(nearest(name, table.iter().map(|(known, _)| *known)))
}
