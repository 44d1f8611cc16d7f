//! A compiled template or expression.

use std::collections::BTreeMap;

use serde_json::Value;

use super::function::JinjaFunction;
use super::operation::{ValueOperation, ValueTest};

/// A name, by its index in [`JinjaProgram::names`].
pub(super) type NameId = usize;

/// A compiled source.
#[derive(Debug, Clone, Default)]
pub(super) struct JinjaProgram {
    pub(super) body: Vec<JinjaStatement>,
    /// Every name that the source mentions.
    pub(super) names: Vec<String>,
    /// Which of them the source ever assigns; the others can only be roots.
    pub(super) assigned: Vec<bool>,
    pub(super) macros: BTreeMap<NameId, JinjaMacro>,
}

#[derive(Debug, Clone)]
pub(super) struct JinjaMacro {
    /// Parameters, with their defaults if they have one.
    pub(super) parameters: Vec<(NameId, Option<JinjaExpr>)>,
    pub(super) body: Vec<JinjaStatement>,
}

#[derive(Debug, Clone)]
pub(super) enum JinjaStatement {
    Raw(String),
    Output(JinjaExpr),
    If {
        arms: Vec<(JinjaExpr, Vec<JinjaStatement>)>,
        otherwise: Vec<JinjaStatement>,
    },
    For(Box<ForStatement>),
    Set(AssignTarget, JinjaExpr),
    /// `{% set name %}…{% endset %}`
    Capture(AssignTarget, Vec<FilterCall>, Vec<JinjaStatement>),
    With(Vec<(NameId, JinjaExpr)>, Vec<JinjaStatement>),
    /// `{% filter upper %}…{% endfilter %}`
    Filter(Vec<FilterCall>, Vec<JinjaStatement>),
}

#[derive(Debug, Clone)]
pub(super) struct ForStatement {
    /// One name, or several into which each item is unpacked.
    pub(super) targets: Vec<NameId>,
    pub(super) items: JinjaExpr,
    pub(super) filter: Option<JinjaExpr>,
    pub(super) loop_name: NameId,
    pub(super) body: Vec<JinjaStatement>,
    pub(super) otherwise: Vec<JinjaStatement>,
}

#[derive(Debug, Clone)]
pub(super) enum AssignTarget {
    Names(Vec<NameId>),
    /// `{% set ns.field = … %}`
    Field(NameId, String),
}

#[derive(Debug, Clone)]
pub(super) enum JinjaExpr {
    Literal(Value),
    Name(NameId),
    List(Vec<JinjaExpr>),
    Object(Vec<(JinjaExpr, JinjaExpr)>),
    Negative(Box<JinjaExpr>),
    Not(Box<JinjaExpr>),
    And(Vec<JinjaExpr>),
    Or(Vec<JinjaExpr>),
    /// Operators of equal precedence, from left to right.
    Arithmetic(Box<JinjaExpr>, Vec<(ArithmeticOp, JinjaExpr)>),
    /// `a < b <= c`: each is compared with the one before it.
    Compare(Box<JinjaExpr>, Vec<(JinjaComparator, JinjaExpr)>),
    /// `value if condition else …`, and the value if no condition holds.
    Choose(Vec<(JinjaExpr, JinjaExpr)>, Option<Box<JinjaExpr>>),
    /// A value and the operations applied to it, from left to right.
    Postfix(Box<JinjaExpr>, Vec<PostfixOp>),
    Function(JinjaFunction, ArgumentExprs),
    /// A function that applies an operation to its first argument: `len(x)`.
    Apply(ValueOperation, ArgumentExprs),
    Macro(NameId, ArgumentExprs),
}

#[derive(Debug, Clone)]
pub(super) enum PostfixOp {
    Field(String),
    Item(JinjaExpr),
    Slice(Box<[Option<JinjaExpr>; 3]>),
    /// A filter, or a method that does the same.
    Call(FilterCall),
    Test {
        test: ValueTest,
        arguments: ArgumentExprs,
        negated: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct FilterCall {
    pub(super) operation: ValueOperation,
    pub(super) arguments: ArgumentExprs,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ArgumentExprs {
    pub(super) positional: Vec<JinjaExpr>,
    pub(super) named: Vec<(String, JinjaExpr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArithmeticOp {
    Add,
    Subtract,
    Join,
    Multiply,
    Divide,
    DivideWhole,
    Remainder,
    Power,
}

impl ArithmeticOp {
    pub(super) fn sign(self) -> &'static str {
        match self {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Join => "~",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide => "/",
            ArithmeticOp::DivideWhole => "//",
            ArithmeticOp::Remainder => "%",
            ArithmeticOp::Power => "**",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JinjaComparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}
