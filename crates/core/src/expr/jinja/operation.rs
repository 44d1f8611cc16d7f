//! Filters, methods and tests: what can be done with a value, and under which names.

use crate::expr::error::ParseError;
use crate::expr::suggest::nearest;

/// Something done with a value. Filters, methods and some functions are names for the same operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
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

const FILTERS: &[(&str, Operation)] = &[
    ("abs", Operation::Abs),
    ("attr", Operation::Attribute),
    ("batch", Operation::Batch),
    ("bool", Operation::Bool),
    ("capitalize", Operation::Capitalize),
    ("count", Operation::Length),
    ("d", Operation::Default),
    ("date", Operation::Date),
    ("default", Operation::Default),
    ("dictsort", Operation::DictSort),
    ("e", Operation::Escape),
    ("escape", Operation::Escape),
    ("first", Operation::First),
    ("float", Operation::Float),
    ("format", Operation::Format),
    ("groupby", Operation::GroupBy),
    ("indent", Operation::Indent),
    ("int", Operation::Int),
    ("items", Operation::Items),
    ("join", Operation::Join),
    ("keys", Operation::Keys),
    ("last", Operation::Last),
    ("length", Operation::Length),
    ("lines", Operation::Lines),
    ("list", Operation::List),
    ("lower", Operation::Lower),
    ("map", Operation::Map),
    ("max", Operation::Max),
    ("min", Operation::Min),
    ("money", Operation::Money),
    ("pprint", Operation::ToJson),
    ("reject", Operation::Reject),
    ("rejectattr", Operation::RejectAttribute),
    ("replace", Operation::Replace),
    ("reverse", Operation::Reverse),
    ("round", Operation::Round),
    ("safe", Operation::Safe),
    ("select", Operation::Select),
    ("selectattr", Operation::SelectAttribute),
    ("sort", Operation::Sort),
    ("split", Operation::Split),
    ("string", Operation::String),
    ("sum", Operation::Sum),
    ("title", Operation::Title),
    ("tojson", Operation::ToJson),
    ("trim", Operation::Trim),
    ("truncate", Operation::Truncate),
    ("unique", Operation::Unique),
    ("upper", Operation::Upper),
    ("urlencode", Operation::UrlEncode),
    ("values", Operation::Values),
    ("wordcount", Operation::WordCount),
];

const METHODS: &[(&str, Operation)] = &[
    ("capitalize", Operation::Capitalize),
    ("count", Operation::Count),
    ("cycle", Operation::Cycle),
    ("endswith", Operation::EndsWith),
    ("find", Operation::Find),
    ("get", Operation::Get),
    ("index", Operation::Index),
    ("isalpha", Operation::IsAlpha),
    ("isdigit", Operation::IsDigit),
    ("items", Operation::Items),
    ("join", Operation::JoinItems),
    ("keys", Operation::Keys),
    ("lower", Operation::Lower),
    ("lstrip", Operation::TrimStart),
    ("replace", Operation::Replace),
    ("rstrip", Operation::TrimEnd),
    ("split", Operation::Split),
    ("splitlines", Operation::Lines),
    ("startswith", Operation::StartsWith),
    ("strip", Operation::Trim),
    ("title", Operation::Title),
    ("upper", Operation::Upper),
    ("values", Operation::Values),
    ("zfill", Operation::PadZeros),
];

impl Operation {
    /// The operation a filter stands for.
    pub(super) fn filter(name: &str) -> Result<Self, ParseError> {
        find(FILTERS, name).ok_or_else(|| unknown("filter", name, FILTERS))
    }

    /// The operation a method stands for.
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

    /// The name it goes by in messages.
    pub(super) fn name(self) -> &'static str {
        let named = FILTERS.iter().chain(METHODS).find(|(name, operation)| *operation == self && name.len() > 1);
        named.map_or("", |(name, _)| name)
    }
}

/// What can be asked of a value with `is`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
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

const TESTS: &[(&str, Test)] = &[
    ("boolean", Test::Boolean),
    ("containing", Test::Containing),
    ("defined", Test::Defined),
    ("divisibleby", Test::DivisibleBy),
    ("empty", Test::Empty),
    ("endingwith", Test::EndingWith),
    ("eq", Test::Equal),
    ("equalto", Test::Equal),
    ("even", Test::Even),
    ("false", Test::False),
    ("False", Test::False),
    ("float", Test::Float),
    ("ge", Test::GreaterOrEqual),
    ("greaterthan", Test::Greater),
    ("gt", Test::Greater),
    ("in", Test::In),
    ("integer", Test::Integer),
    ("iterable", Test::Iterable),
    ("le", Test::LessOrEqual),
    ("lessthan", Test::Less),
    ("lower", Test::Lower),
    ("lt", Test::Less),
    ("mapping", Test::Mapping),
    ("ne", Test::NotEqual),
    ("none", Test::Null),
    ("None", Test::Null),
    ("null", Test::Null),
    ("number", Test::Number),
    ("odd", Test::Odd),
    ("sameas", Test::Equal),
    ("sequence", Test::Sequence),
    ("startingwith", Test::StartingWith),
    ("string", Test::String),
    ("true", Test::True),
    ("True", Test::True),
    ("undefined", Test::Undefined),
    ("upper", Test::Upper),
];

impl Test {
    pub(super) fn named(name: &str) -> Result<Self, ParseError> {
        find(TESTS, name).ok_or_else(|| unknown("test", name, TESTS))
    }

    /// Whether the test compares with something, as in `is divisibleby 3`.
    pub(super) fn takes_argument(self) -> bool {
        matches!(
            self,
            Test::Containing
                | Test::DivisibleBy
                | Test::EndingWith
                | Test::Equal
                | Test::Greater
                | Test::GreaterOrEqual
                | Test::In
                | Test::Less
                | Test::LessOrEqual
                | Test::NotEqual
                | Test::StartingWith
        )
    }

    /// The name it goes by in messages.
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
