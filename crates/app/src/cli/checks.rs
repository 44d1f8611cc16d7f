//! Arguments of the read-only commands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Files or project folders; the project folder unless told.
    pub paths: Vec<PathBuf>,
    /// Warnings are errors.
    #[arg(long)]
    pub strict: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The workflow's name, or its file.
    pub workflow: String,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = GraphFormatArg::Mermaid)]
    pub format: GraphFormatArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormatArg {
    Mermaid,
    Dot,
    /// Batches that can run in parallel.
    Levels,
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The language.
    #[arg(long = "type", value_enum, value_name = "LANGUAGE")]
    pub language: EvalLanguageArg,
    /// The expression, or the template.
    pub expression: String,
    /// What it sees: JSON, @FILE, or @- for standard input.
    #[arg(long, short, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalLanguageArg {
    Jmespath,
    #[value(alias = "python")]
    Expr,
    #[value(alias = "jinja")]
    Template,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Test files; all of `tests/` unless told.
    pub files: Vec<PathBuf>,
    /// Only tests whose name contains this.
    #[arg(long, short)]
    pub filter: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Small numbers, only to see that it works.
    #[arg(long)]
    pub smoke: bool,
    /// Only these cases; may be repeated.
    #[arg(long = "case", value_name = "CASE")]
    pub cases: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also compare every index of the database with its table, which takes several times as long.
    #[arg(long)]
    pub full: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReferencePageArg {
    WorkflowSchema,
    Cli,
    Errors,
    Openapi,
}
