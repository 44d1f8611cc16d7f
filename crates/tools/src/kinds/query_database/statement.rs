//! Accepts exactly one SELECT that does nothing but read.
//!
//! The database never receives the original text. It receives the parsed statement, printed without comments, and
//! only if the printed text parses to the same statement again. The checked statement is therefore the executed one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde_json::Value;
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, ObjectNamePart, Query, SetExpr, Statement as Parsed, TableFactor,
    Value as Literal, Visit, VisitMut, Visitor, VisitorMut,
};
use sqlparser::dialect::{Dialect as Grammar, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserOptions};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::functions;

/// Maximum size of one query, in bytes.
pub(super) const QUERY_BYTES_MAX: usize = 32 << 10;
/// Maximum number of tokens of one query: each may nest one level deeper than the one before.
const TOKENS_MAX: usize = 8_000;
/// Maximum number of placeholder values of one query.
pub(super) const VALUES_MAX: usize = 200;
/// Stack of the parser thread. A chain of operators is as deep as it is long, and walking it uses stack at each
/// level. Only the part in use becomes real memory.
const STACK_BYTES: usize = 256 << 20;

/// The SQL dialect of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqlDialect {
    Sqlite,
    Postgres,
}

/// An accepted query, with the values of its placeholders in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SqlStatement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// Why a query is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StatementError {
    /// It does more than read, or might.
    NotAllowed(String),
    /// It is not a query, or cannot be parsed with certainty.
    Unreadable(String),
    /// Its placeholders and values do not match.
    Values(String),
}

impl SqlStatement {
    /// Parses and checks a query. `own` are functions that the settings allow.
    ///
    /// # Errors
    /// States which part of the query is refused.
    pub(crate) fn read(
        dialect: SqlDialect,
        query: &str,
        params: &Value,
        own: &BTreeSet<String>,
    ) -> Result<Self, StatementError> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(StatementError::Unreadable(format!("the query is longer than {QUERY_BYTES_MAX} bytes")));
        }
        if query.contains('\0') {
            return Err(StatementError::Unreadable("the query holds a zero byte".to_owned()));
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let read = thread.spawn_scoped(scope, || Self::read_deep(dialect, query, params, own));
            let read =
                read.map_err(|error| StatementError::Unreadable(format!("no thread to read the query: {error}")))?;
            read.join().unwrap_or_else(|_| Err(StatementError::Unreadable("the query cannot be read".to_owned())))
        })
    }

    fn read_deep(
        dialect: SqlDialect,
        query: &str,
        params: &Value,
        own: &BTreeSet<String>,
    ) -> Result<Self, StatementError> {
        let mut parsed = parsed(dialect, query)?;
        if let ControlFlow::Break(reason) = parsed.visit(&mut StatementChecker { dialect, own }) {
            return Err(StatementError::NotAllowed(*reason));
        }
        let mut holes = PlaceholderBinder { dialect, params, taken: Vec::new(), values: Vec::new() };
        if let ControlFlow::Break(reason) = VisitMut::visit(&mut parsed, &mut holes) {
            return Err(StatementError::Values(*reason));
        }
        holes.all_used()?;
        let values = holes.values;
        let sql = parsed.to_string();
        let again = self::parsed(dialect, &sql);
        if again.as_ref() != Ok(&parsed) {
            let reason = "the query cannot be written out so that it certainly means the same; write it more plainly, \
                          and give values as `params`";
            return Err(StatementError::Unreadable(reason.to_owned()));
        }
        Ok(Self { sql, values })
    }
}

/// Parses a text that contains exactly one statement.
fn parsed(dialect: SqlDialect, text: &str) -> Result<Parsed, StatementError> {
    let (sqlite, postgres) = (SQLiteDialect {}, PostgreSqlDialect {});
    let grammar: &dyn Grammar = match dialect {
        SqlDialect::Sqlite => &sqlite,
        SqlDialect::Postgres => &postgres,
    };
    // Quoted text stays as written: unescaping and escaping it again might change it.
    let tokens = Tokenizer::new(grammar, text).with_unescape(false).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| StatementError::Unreadable(error.to_string()))?;
    let is_meant = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    if tokens.iter().filter(is_meant).count() > TOKENS_MAX {
        return Err(StatementError::Unreadable(format!("the query has more than {TOKENS_MAX} words and signs")));
    }
    number_placeholders(&mut tokens);
    let parser = Parser::new(grammar).with_options(ParserOptions::new().with_unescape(false));
    let statements = parser.with_tokens_with_locations(tokens).parse_statements();
    let statements = statements.map_err(|error| StatementError::Unreadable(error.to_string()))?;
    match <[Parsed; 1]>::try_from(statements) {
        Ok([statement]) => Ok(statement),
        Err(none) if none.is_empty() => Err(StatementError::Unreadable("there is no query".to_owned())),
        Err(_) => Err(StatementError::NotAllowed("there is more than one statement; send one SELECT".to_owned())),
    }
}

/// Numbers placeholders that have no number, by their order in the text.
fn number_placeholders(tokens: &mut [TokenWithSpan]) {
    let mut next = 1_usize;
    for token in tokens {
        if let Token::Placeholder(name) = &mut token.token
            && name == "?"
        {
            *name = format!("?{next}");
            next += 1;
        }
    }
}

/// Checks every part of a statement. The reason is boxed because the walk is deep.
struct StatementChecker<'a> {
    dialect: SqlDialect,
    own: &'a BTreeSet<String>,
}

type CheckFlow = ControlFlow<Box<String>>;

fn refuse(reason: impl Into<String>) -> CheckFlow {
    ControlFlow::Break(Box::new(reason.into()))
}

const PROCEED: CheckFlow = ControlFlow::Continue(());

impl StatementChecker<'_> {
    fn body(&self, body: &SetExpr) -> CheckFlow {
        match body {
            SetExpr::Select(select) if select.into.is_some() => refuse("`SELECT … INTO` makes a table"),
            SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Query(_) => PROCEED,
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                refuse("a part of the query changes data; only SELECT is asked")
            }
            SetExpr::Table(_) => refuse("write `SELECT * FROM …` in place of `TABLE …`"),
        }
    }

    fn function(&self, name: &ObjectName) -> CheckFlow {
        let shown = || name.to_string();
        let parts: Option<Vec<String>> = name
            .0
            .iter()
            .map(|part| match part {
                ObjectNamePart::Identifier(ident) => Some(folded_name(self.dialect, ident)),
                ObjectNamePart::Function(_) => None,
            })
            .collect();
        let known = match parts.as_deref() {
            Some([name]) => functions::may_call(self.dialect, name, self.own),
            // Functions without side effects are in this schema; another schema may have one of the same name that
            // does more.
            Some([schema, name]) if self.dialect == SqlDialect::Postgres && schema == "pg_catalog" => {
                functions::may_call(self.dialect, name, &BTreeSet::new())
            }
            Some([schema, name]) => self.own.contains(&format!("{schema}.{name}")),
            Some(_) | None => false,
        };
        if known {
            return PROCEED;
        }
        refuse(format!(
            "the function `{}` is not among those known to have no effect; if it has none, name it under `functions` of \
             the database's settings",
            shown()
        ))
    }

    /// Refuses relations that describe the database server instead of its data.
    fn relation(&self, name: &ObjectName) -> CheckFlow {
        let hidden = name.0.iter().any(|part| match part {
            ObjectNamePart::Identifier(ident) => {
                let part = ident.value.to_lowercase();
                match self.dialect {
                    SqlDialect::Postgres => part.starts_with("pg_"),
                    SqlDialect::Sqlite => part.starts_with("pragma_") || part == "dbstat" || part == "sqlite_dbpage",
                }
            }
            ObjectNamePart::Function(_) => true,
        });
        if hidden { refuse(format!("`{name}` is the server's own and not data")) } else { PROCEED }
    }
}

/// Normalises a name as the database does when it looks it up.
fn folded_name(dialect: SqlDialect, ident: &Ident) -> String {
    match (dialect, ident.quote_style) {
        (SqlDialect::Postgres, Some(_)) => ident.value.clone(),
        (SqlDialect::Postgres, None) | (SqlDialect::Sqlite, _) => ident.value.to_lowercase(),
    }
}

impl Visitor for StatementChecker<'_> {
    type Break = Box<String>;

    fn pre_visit_statement(&mut self, statement: &Parsed) -> CheckFlow {
        match statement {
            Parsed::Query(_) => PROCEED,
            other => {
                let text = other.to_string();
                let verb = text.split_whitespace().next().unwrap_or_default();
                refuse(format!("`{verb}` is not asked; send one SELECT"))
            }
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> CheckFlow {
        if !query.locks.is_empty() || query.for_clause.is_some() {
            return refuse("`FOR UPDATE` and its like lock rows");
        }
        if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
            return refuse("the query ends in a way that is not asked");
        }
        self.body(&query.body)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> CheckFlow {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => self.function(name),
            TableFactor::Table { args: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::NestedJoin { .. } => PROCEED,
            other => refuse(format!("`{other}` is a source that is not asked")),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> CheckFlow {
        self.relation(relation)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> CheckFlow {
        match expr {
            Expr::Function(function) => self.function(&function.name),
            Expr::BinaryOp { op, .. } | Expr::AnyOp { compare_op: op, .. } | Expr::AllOp { compare_op: op, .. } => {
                match op {
                    BinaryOperator::Custom(_)
                    | BinaryOperator::PGCustomBinaryOperator(_)
                    | BinaryOperator::Assignment => refuse(format!("the operator `{op}` is somebody's own")),
                    _ => PROCEED,
                }
            }
            Expr::Lambda(_) | Expr::MatchAgainst { .. } | Expr::Prior(_) | Expr::OuterJoin(_) => {
                refuse(format!("`{expr}` is not asked"))
            }
            _ => PROCEED,
        }
    }
}

/// Numbers the placeholders of a statement, each with its value.
struct PlaceholderBinder<'a> {
    dialect: SqlDialect,
    params: &'a Value,
    /// The original name of each placeholder, by its number.
    taken: Vec<String>,
    values: Vec<Value>,
}

impl PlaceholderBinder<'_> {
    /// Returns the number of a placeholder, from 1.
    fn place(&mut self, written: &str) -> Result<usize, String> {
        let name = written.trim_start_matches(['$', '?', ':', '@']);
        if let Some(index) = self.taken.iter().position(|taken| taken == name) {
            return Ok(index + 1);
        }
        let value = match (self.params, name.parse::<usize>()) {
            (Value::Array(values), Ok(number)) => number.checked_sub(1).and_then(|index| values.get(index)),
            (Value::Object(values), _) => values.get(name),
            (_, _) => None,
        };
        let Some(value) = value else {
            return Err(format!("`params` has no value for `{written}`"));
        };
        if self.values.len() >= VALUES_MAX {
            return Err(format!("the query has more than {VALUES_MAX} holes"));
        }
        self.taken.push(name.to_owned());
        self.values.push(value.clone());
        Ok(self.values.len())
    }

    /// A value without a placeholder is an error of the caller.
    fn all_used(&self) -> Result<(), StatementError> {
        let names: Vec<String> = match self.params {
            Value::Array(values) => (1..=values.len()).map(|number| number.to_string()).collect(),
            Value::Object(values) => values.keys().cloned().collect(),
            _ => Vec::new(),
        };
        match names.iter().find(|name| !self.taken.contains(name)) {
            Some(name) => {
                Err(StatementError::Values(format!("the query has no place for the value `{name}` of `params`")))
            }
            None => Ok(()),
        }
    }
}

impl VisitorMut for PlaceholderBinder<'_> {
    type Break = Box<String>;

    fn pre_visit_value(&mut self, value: &mut Literal) -> CheckFlow {
        let Literal::Placeholder(written) = value else { return PROCEED };
        match self.place(written) {
            Ok(number) => {
                let sign = match self.dialect {
                    SqlDialect::Sqlite => '?',
                    SqlDialect::Postgres => '$',
                };
                *written = format!("{sign}{number}");
                PROCEED
            }
            Err(reason) => refuse(reason),
        }
    }
}
