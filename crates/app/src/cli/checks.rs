//! Commands that look and change nothing: what may be asked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Validate {
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
pub struct Graph {
    /// The workflow's name, or its file.
    pub workflow: String,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub format: GraphFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    Mermaid,
    Dot,
    /// Batches that can run in parallel.
    Levels,
}

#[derive(Debug, Args)]
pub struct Eval {
    /// The language.
    #[arg(long = "type", value_enum, value_name = "LANGUAGE")]
    pub language: EvalLanguage,
    /// The expression, or the template.
    pub expression: String,
    /// What it sees: JSON, @FILE, or @- for standard input.
    #[arg(long, short, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalLanguage {
    Jmespath,
    #[value(alias = "python")]
    Expr,
    #[value(alias = "jinja")]
    Template,
}

#[derive(Debug, Args)]
pub struct Test {
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
pub struct Bench {
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
pub struct Doctor {
    /// Also compare every index of the database with its table, which takes several times as long.
    #[arg(long)]
    pub full: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    WorkflowSchema,
    Cli,
    Errors,
    Openapi,
}
