//! A compiled template or expression.

use std::collections::BTreeMap;

use serde_json::Value;

use super::function::Function;
use super::operation::{Operation, Test};

/// A name, by its place in [`Program::names`].
pub(super) type NameId = usize;

/// Everything a source became.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    pub(super) body: Vec<Statement>,
    /// Every name the source mentions.
    pub(super) names: Vec<String>,
    /// Which of them the source ever assigns; the others can only be roots.
    pub(super) assigned: Vec<bool>,
    pub(super) macros: BTreeMap<NameId, Macro>,
}

#[derive(Debug, Clone)]
pub(super) struct Macro {
    /// Parameters, with the defaults of those that have one.
    pub(super) parameters: Vec<(NameId, Option<Expr>)>,
    pub(super) body: Vec<Statement>,
}

#[derive(Debug, Clone)]
pub(super) enum Statement {
    Raw(String),
    Output(Expr),
    If {
        arms: Vec<(Expr, Vec<Statement>)>,
        otherwise: Vec<Statement>,
    },
    For(Box<For>),
    Set(Target, Expr),
    /// `{% set name %}…{% endset %}`
    Capture(Target, Vec<Call>, Vec<Statement>),
    With(Vec<(NameId, Expr)>, Vec<Statement>),
    /// `{% filter upper %}…{% endfilter %}`
    Filter(Vec<Call>, Vec<Statement>),
}

#[derive(Debug, Clone)]
pub(super) struct For {
    /// One name, or several to unpack each item into.
    pub(super) targets: Vec<NameId>,
    pub(super) items: Expr,
    pub(super) wanted: Option<Expr>,
    pub(super) loop_name: NameId,
    pub(super) body: Vec<Statement>,
    pub(super) otherwise: Vec<Statement>,
}

#[derive(Debug, Clone)]
pub(super) enum Target {
    Names(Vec<NameId>),
    /// `{% set ns.field = … %}`
    Field(NameId, String),
}

#[derive(Debug, Clone)]
pub(super) enum Expr {
    Literal(Value),
    Name(NameId),
    List(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    Negative(Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Operators of one strength, from left to right.
    Arithmetic(Box<Expr>, Vec<(Arithmetic, Expr)>),
    /// `a < b <= c`: each with the one before it.
    Compare(Box<Expr>, Vec<(Comparator, Expr)>),
    /// `value if condition else …`, and what holds when no condition does.
    Choose(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// A value and what is done with it, from left to right.
    Postfix(Box<Expr>, Vec<Postfix>),
    Function(Function, Arguments),
    /// A function that is an operation on its first argument: `len(x)`.
    Apply(Operation, Arguments),
    Macro(NameId, Arguments),
}

#[derive(Debug, Clone)]
pub(super) enum Postfix {
    Field(String),
    Item(Expr),
    Slice(Box<[Option<Expr>; 3]>),
    /// A filter, or a method that does the same.
    Call(Call),
    Test {
        test: Test,
        arguments: Arguments,
        negated: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) arguments: Arguments,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(String, Expr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Join,
    Multiply,
    Divide,
    DivideWhole,
    Remainder,
    Power,
}

impl Arithmetic {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Join => "~",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::DivideWhole => "//",
            Arithmetic::Remainder => "%",
            Arithmetic::Power => "**",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}
