//! The functions of JMESPath: their names and parameters.

use super::node::JmesPathNode;
use crate::error::ParseError;
use crate::suggest::nearest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JmesPathFunction {
    Abs,
    Avg,
    Ceil,
    Contains,
    EndsWith,
    Floor,
    Join,
    Keys,
    Length,
    Map,
    Max,
    MaxBy,
    Merge,
    Min,
    MinBy,
    NotNull,
    Reverse,
    Sort,
    SortBy,
    StartsWith,
    Sum,
    ToArray,
    ToNumber,
    ToString,
    Type,
    Values,
}

/// Name, function, minimum and maximum number of arguments, and which of them is an `&expression`.
type FunctionSignature = (&'static str, JmesPathFunction, usize, usize, Option<usize>);

const ANY_NUMBER: usize = usize::MAX;

const FUNCTIONS: &[FunctionSignature] = &[
    ("abs", JmesPathFunction::Abs, 1, 1, None),
    ("avg", JmesPathFunction::Avg, 1, 1, None),
    ("ceil", JmesPathFunction::Ceil, 1, 1, None),
    ("contains", JmesPathFunction::Contains, 2, 2, None),
    ("ends_with", JmesPathFunction::EndsWith, 2, 2, None),
    ("floor", JmesPathFunction::Floor, 1, 1, None),
    ("join", JmesPathFunction::Join, 2, 2, None),
    ("keys", JmesPathFunction::Keys, 1, 1, None),
    ("length", JmesPathFunction::Length, 1, 1, None),
    ("map", JmesPathFunction::Map, 2, 2, Some(0)),
    ("max", JmesPathFunction::Max, 1, 1, None),
    ("max_by", JmesPathFunction::MaxBy, 2, 2, Some(1)),
    ("merge", JmesPathFunction::Merge, 1, ANY_NUMBER, None),
    ("min", JmesPathFunction::Min, 1, 1, None),
    ("min_by", JmesPathFunction::MinBy, 2, 2, Some(1)),
    ("not_null", JmesPathFunction::NotNull, 1, ANY_NUMBER, None),
    ("reverse", JmesPathFunction::Reverse, 1, 1, None),
    ("sort", JmesPathFunction::Sort, 1, 1, None),
    ("sort_by", JmesPathFunction::SortBy, 2, 2, Some(1)),
    ("starts_with", JmesPathFunction::StartsWith, 2, 2, None),
    ("sum", JmesPathFunction::Sum, 1, 1, None),
    ("to_array", JmesPathFunction::ToArray, 1, 1, None),
    ("to_number", JmesPathFunction::ToNumber, 1, 1, None),
    ("to_string", JmesPathFunction::ToString, 1, 1, None),
    ("type", JmesPathFunction::Type, 1, 1, None),
    ("values", JmesPathFunction::Values, 1, 1, None),
];

impl JmesPathFunction {
    pub(super) fn named(name: &str) -> Result<Self, ParseError> {
        match FUNCTIONS.iter().find(|row| row.0 == name) {
            Some(row) => Ok(row.1),
            None => Err(ParseError::new(format!("JMESPath has no function `{name}`"))
                .did_you_mean(nearest(name, FUNCTIONS.iter().map(|row| row.0)))),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.row().map_or("", |row| row.0)
    }

    /// Checks the number of arguments, and that `&` is used exactly where it is required.
    pub(super) fn check(self, arguments: &[JmesPathNode]) -> Result<(), ParseError> {
        let Some((name, _, least, most, reference)) = self.row() else {
            return Ok(());
        };
        if arguments.len() < *least || arguments.len() > *most {
            let wanted = match (*least, *most) {
                (1, 1) => "1 argument".to_owned(),
                (least, most) if least == most => format!("{least} arguments"),
                (least, _) => format!("{least} or more arguments"),
            };
            return Err(ParseError::new(format!("`{name}` takes {wanted}, not {}", arguments.len())));
        }
        for (index, argument) in arguments.iter().enumerate() {
            let given = matches!(argument, JmesPathNode::Reference(_));
            let wanted = *reference == Some(index);
            let at = index + 1;
            if wanted && !given {
                return Err(ParseError::new(format!("argument {at} of `{name}` is an expression"))
                    .hint("put `&` before it, as in sort_by(people, &age)"));
            }
            if given && !wanted {
                return Err(ParseError::new(format!("argument {at} of `{name}` is a value")).hint("leave out the `&`"));
            }
        }
        Ok(())
    }

    fn row(self) -> Option<&'static FunctionSignature> {
        FUNCTIONS.iter().find(|row| row.1 == self)
    }
}
