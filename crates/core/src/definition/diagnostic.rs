//! Findings in a definition: what is wrong, where, and how to fix it.

use std::fmt;

use serde::{Serialize, Serializer};

use super::source::SourceSpan;

/// Maximum number of diagnostics kept for one definition; the rest is only counted.
pub const DIAGNOSTICS_MAX: usize = 200;
/// Maximum number of findings with a suggestion; later ones have none.
const SUGGESTIONS_MAX: usize = 50;
/// Maximum width of a source line that [`render`] shows, in characters.
const LINE_CHARS_MAX: usize = 160;

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: DiagnosticCode,
    /// A sentence without a full stop.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(flatten)]
    pub span: SourceSpan,
}

/// Severity, ordered from worst to mildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The text is not a workflow.
    Error,
    /// It loads and can be drawn, but cannot be activated or run: a name in it does not exist (yet).
    Draft,
    /// It runs, but may not do what was intended.
    Warning,
    /// It could be written better.
    Hint,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal;)*) => {
        /// The kind of a finding: stable, and documented under its text code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DiagnosticCode {
            $($(#[$doc])* $name,)*
        }

        impl DiagnosticCode {
            /// All codes, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Returns a short title of the code.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

codes! {
    Unreadable = "DEF-001", "the file is no text that can be a definition";
    NotYaml = "DEF-002", "the text is not YAML";
    TooLarge = "DEF-003", "a limit is exceeded";
    DuplicateKey = "DEF-004", "a key is written twice";
    WrongShape = "DEF-010", "a value is of the wrong shape";
    UnknownKey = "DEF-011", "a key means nothing here";
    MissingKey = "DEF-012", "a key is missing";
    Conflict = "DEF-013", "two keys contradict each other";
    BadValue = "DEF-014", "a value is not one of those allowed";
    BadName = "DEF-015", "a name cannot be used";
    DuplicateName = "DEF-016", "a name is used twice";
    UnknownKind = "DEF-017", "the type of a node cannot be told";
    NoName = "DEF-018", "the workflow has no name";
    NoNodes = "DEF-019", "the workflow has no nodes";
    Expression = "DEF-020", "an expression does not parse";
    BareLiteral = "DEF-021", "a JMESPath literal stands without backticks";
    UnknownWord = "DEF-022", "an expression mentions an undeclared name";
    ReadsLater = "DEF-023", "an expression reads a node that does not come before";
    LooseReference = "DEF-024", "a reference inside a text is left as it is";
    UnknownField = "DEF-025", "an expression reads a field that its node does not answer";
    UnknownNode = "DEF-030", "a node that is not there";
    UnknownAgent = "DEF-031", "an agent that is not there";
    UnknownTool = "DEF-032", "a tool that is not there";
    UnknownWorkflow = "DEF-033", "a workflow that is not there";
    WorkflowCycle = "DEF-034", "workflows run each other in a circle";
    Cycle = "DEF-040", "nodes wait for each other in a circle";
    Unreachable = "DEF-041", "a node that nothing leads to";
    Branch = "DEF-042", "an edge follows a branch that is never chosen";
    NeverMerges = "DEF-043", "a merge that can never fire";
    LeavesBranch = "DEF-044", "an edge leaves a branch that a merge may cut";
    Parameters = "DEF-050", "parameters do not fit the tool";
    BadSchema = "DEF-051", "a JSON Schema is not one";
    Irreversible = "DEF-060", "what cannot be undone comes before what may have to be";
    CompensationBlind = "DEF-061", "a compensation needs a value that is not produced";
    CompensationIdle = "DEF-062", "a compensation that never runs";
    SharedKey = "DEF-070", "two nodes that can run together write one key";
    Unpriced = "DEF-071", "a limit that does not see what an endpoint costs";
    NotActedOn = "DEF-080", "this version does not act on it";
    NotChecked = "DEF-090", "the workflow is too large for this check";
}

impl Diagnostic {
    pub fn new(severity: Severity, code: DiagnosticCode, span: SourceSpan, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), hint: None, span }
    }

    pub fn error(code: DiagnosticCode, span: SourceSpan, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message)
    }

    pub fn draft(code: DiagnosticCode, span: SourceSpan, message: impl Into<String>) -> Self {
        Self::new(Severity::Draft, code, span, message)
    }

    pub fn warning(code: DiagnosticCode, span: SourceSpan, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds "did you mean", or the list of possible names if it is short.
    #[must_use]
    pub(crate) fn did_you_mean<'n>(self, wrong: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        const LISTED_MAX: usize = 8;
        let known: Vec<&str> = known.into_iter().collect();
        match baton_expr::nearest(wrong, known.iter().copied()) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None if known.is_empty() || known.len() > LISTED_MAX || self.hint.is_some() => self,
            None if known.len() == 1 => self.hint(format!("there is only {}", join_names(&known))),
            None => self.hint(format!("there are {}", join_names(&known))),
        }
    }
}

/// Formats names for a sentence: `a`, `b` and `c`.
pub(crate) fn join_names(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", clip_word(name.as_ref()))).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Shortens a word of the file for a message.
pub(crate) fn clip_word(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.chars().count() < text.chars().count() {
        shown.push('…');
    }
    shown
}

/// Collects findings, up to [`DIAGNOSTICS_MAX`].
#[derive(Debug, Default)]
pub(crate) struct DiagnosticList {
    list: Vec<Diagnostic>,
    more: usize,
}

impl DiagnosticList {
    /// Adds a finding. Duplicates are added once.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let said = |kept: &Diagnostic| {
            (kept.code, kept.span, kept.severity) == (diagnostic.code, diagnostic.span, diagnostic.severity)
                && kept.message == diagnostic.message
        };
        if self.list.iter().any(said) {
            return;
        }
        if self.list.len() < DIAGNOSTICS_MAX {
            self.list.push(diagnostic);
        } else {
            // An error must not be lost after warnings: it replaces the last one.
            self.more += 1;
            if diagnostic.severity == Severity::Error
                && let Some(mild) = self.list.iter_mut().rev().find(|kept| kept.severity > Severity::Error)
            {
                *mild = diagnostic;
            }
        }
    }

    /// Returns whether the number of findings is small enough that suggestions still help.
    pub(crate) fn accepts_suggestions(&self) -> bool {
        self.list.len() < SUGGESTIONS_MAX
    }

    /// Adds a finding with "did you mean", while the list is short: comparing many names costs time.
    pub(crate) fn push_with_suggestion<'n>(
        &mut self,
        diagnostic: Diagnostic,
        wrong: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        self.push(if self.accepts_suggestions() { diagnostic.did_you_mean(wrong, known) } else { diagnostic });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns the findings in file order, the worst first at the same position.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| (d.span, d.severity, d.code));
        if self.more > 0 {
            let last = self.list.last().map(|d| d.span).unwrap_or_default();
            let message = format!("{} more findings are not shown", self.more);
            self.list.push(Diagnostic::new(Severity::Hint, DiagnosticCode::TooLarge, last, message));
        }
        self.list
    }
}

/// Formats a diagnostic for people: message, position, the source line with a caret, hint. Plain text without colour,
/// with a final line break. `file` is the name shown to the reader; an empty source shows no line.
pub fn render(diagnostic: &Diagnostic, file: &str, source: &str) -> String {
    let Diagnostic { severity, code, message, hint, span } = diagnostic;
    let hint = hint.as_ref().map(|hint| format!("{:gutter$} = hint: {hint}\n", "", gutter = line_number_width(*span)));
    format!("{severity}[{code}]: {message}\n{}{}", excerpt(*span, file, source), hint.unwrap_or_default())
}

/// Formats a position for people: the file with line and column, and the source line with a caret below. Empty if there
/// is no position.
pub fn excerpt(span: SourceSpan, file: &str, source: &str) -> String {
    use fmt::Write as _;
    let SourceSpan { line, column, len } = span;
    let mut out = String::new();
    let text = source.lines().nth((line as usize).wrapping_sub(1)).unwrap_or_default();
    let gutter = line_number_width(span);
    if line > 0 {
        let _ = writeln!(out, "{:gutter$}--> {file}:{line}:{column}", "");
    }
    if line > 0 && !text.trim().is_empty() {
        let (shown, skipped) = line_window(text, column);
        let at = (column as usize).saturating_sub(1 + skipped);
        let room = shown.chars().count().saturating_sub(at).max(1);
        let carets = "^".repeat((len as usize).clamp(1, room));
        let pad: String = shown.chars().take(at).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let _ = writeln!(out, "{:gutter$} |\n{line} | {shown}\n{:gutter$} | {pad}{carets}", "", "");
    }
    out
}

/// Returns the width of the line number.
fn line_number_width(span: SourceSpan) -> usize {
    span.line.to_string().len()
}

/// Returns the part of a long line around a column, and the number of characters cut before it.
fn line_window(line: &str, column: u32) -> (String, usize) {
    let at = (column as usize).saturating_sub(1);
    let skipped = if at + 1 < LINE_CHARS_MAX { 0 } else { at.saturating_sub(LINE_CHARS_MAX / 2) };
    let clean = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
    let mut shown: String = line.chars().skip(skipped).take(LINE_CHARS_MAX).map(clean).collect();
    shown.truncate(shown.trim_end().len());
    (shown, skipped)
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Draft => "draft",
            Self::Warning => "warning",
            Self::Hint => "hint",
        })
    }
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for DiagnosticCode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
