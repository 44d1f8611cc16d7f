//! A table of outcomes, in its common formats.
//!
//! - RouterBench: one row per prompt, with a column of scores named after each model, and one named `MODEL|total_cost`.
//! - Long: one row per outcome, with `prompt`, `model`, `score` and `cost`; rows with the same `sample_id`, or the same
//!   prompt, belong together.
//!
//! Either as CSV with a header line, or as JSON Lines with the same names as keys.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::csv::{CsvRecords, RECORD_BYTES_MAX};
use crate::requirements::tokens_of;

/// Maximum number of prompts in one table.
pub const ROWS_MAX: usize = 1_000_000;
/// Maximum number of models in one table.
const MODELS_MAX: usize = 256;
const COST_END: &str = "|total_cost";
/// Columns that never name a model.
const PROMPT: [&str; 2] = ["prompt", "input"];
const MODEL: [&str; 1] = ["model"];
const SCORE: [&str; 3] = ["score", "performance", "quality"];
const COST: [&str; 4] = ["cost", "total_cost", "cost_usd", "total_cost_usd"];
const ID: [&str; 3] = ["sample_id", "prompt_id", "id"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeFormat {
    Csv,
    /// JSON Lines.
    Jsonl,
}

/// Prompts with the outcome of each model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutcomeTable {
    pub models: Vec<String>,
    pub(super) rows: Vec<PromptRow>,
    places: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PromptRow {
    /// Estimated size of the prompt.
    pub tokens: u64,
    /// By the model's index in the table.
    outcomes: BTreeMap<usize, ModelOutcome>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ModelOutcome {
    pub score: f64,
    pub cost_usd: f64,
}

impl PromptRow {
    pub fn outcome(&self, place: usize) -> Option<&ModelOutcome> {
        self.outcomes.get(&place)
    }

    pub fn outcomes(&self) -> impl Iterator<Item = &ModelOutcome> {
        self.outcomes.values()
    }
}

impl OutcomeTable {
    pub(super) fn place(&self, model: &str) -> Option<usize> {
        self.places.get(model).copied()
    }

    fn placed(&mut self, model: &str) -> Result<usize, String> {
        if let Some(place) = self.place(model) {
            return Ok(place);
        }
        if self.models.len() >= MODELS_MAX {
            return Err(format!("there are more than {MODELS_MAX} models"));
        }
        self.models.push(model.to_owned());
        self.places.insert(model.to_owned(), self.models.len() - 1);
        Ok(self.models.len() - 1)
    }

    fn push(&mut self, row: PromptRow) -> Result<usize, String> {
        if self.rows.len() >= ROWS_MAX {
            return Err(format!("there are more than {ROWS_MAX} prompts"));
        }
        self.rows.push(row);
        Ok(self.rows.len() - 1)
    }
}

pub(super) fn read(input: impl BufRead, format: OutcomeFormat) -> Result<OutcomeTable, String> {
    let mut reader = OutcomeReader::default();
    match format {
        OutcomeFormat::Csv => csv(input, &mut reader)?,
        OutcomeFormat::Jsonl => jsonl(input, &mut reader)?,
    }
    if reader.table.rows.is_empty() {
        return Err("it has no outcome".to_owned());
    }
    Ok(reader.table)
}

fn csv(input: impl BufRead, reader: &mut OutcomeReader) -> Result<(), String> {
    let mut records = CsvRecords::new(input);
    let Some((_, head)) = records.next()? else { return Ok(()) };
    while let Some((line, fields)) = records.next()? {
        if fields.len() != head.len() {
            return Err(format!("line {line}: {} fields under a head of {}", fields.len(), head.len()));
        }
        let cell = |name: &str| head.iter().position(|column| column == name).and_then(|place| fields.get(place));
        let names = || head.iter().map(String::as_str);
        reader.take(names, &|name| cell(name).cloned()).map_err(|problem| format!("line {line}: {problem}"))?;
    }
    Ok(())
}

fn jsonl(input: impl BufRead, reader: &mut OutcomeReader) -> Result<(), String> {
    for (number, line) in input.lines().enumerate() {
        let at = |problem: String| format!("line {}: {problem}", number + 1);
        let line = line.map_err(|error| at(error.to_string()))?;
        if line.len() > RECORD_BYTES_MAX {
            return Err(at(format!("it is over the limit of {RECORD_BYTES_MAX} bytes")));
        }
        if line.trim().is_empty() {
            continue;
        }
        let object: Map<String, Value> =
            serde_json::from_str(&line).map_err(|error| at(format!("it is no JSON object: {error}")))?;
        let cell = |name: &str| match object.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        reader.take(|| object.keys().map(String::as_str), &cell).map_err(at)?;
    }
    Ok(())
}

#[derive(Default)]
struct OutcomeReader {
    table: OutcomeTable,
    /// Rows of the long format, by the digest that identifies their prompt.
    prompts: BTreeMap<[u8; 32], usize>,
}

impl OutcomeReader {
    /// Takes one record of either format.
    fn take<'n, N: Iterator<Item = &'n str>>(
        &mut self,
        names: impl Fn() -> N,
        cell: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let any = |known: &[&str]| {
            let name = names().find(|name| known.iter().any(|known| name.eq_ignore_ascii_case(known)))?;
            cell(name)
        };
        let wide: Vec<&str> = names().filter_map(|name| name.strip_suffix(COST_END)).collect();
        let prompt = any(&PROMPT).ok_or("it has no `prompt`")?;
        if wide.is_empty() { self.long(&prompt, any) } else { self.wide(&prompt, &wide, cell) }
    }

    fn wide(&mut self, prompt: &str, models: &[&str], cell: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
        let mut row = PromptRow { tokens: tokens_of(prompt), ..PromptRow::default() };
        for model in models {
            let score = cell(model).as_deref().map(|text| number(model, text)).transpose()?.flatten();
            let name = format!("{model}{COST_END}");
            let cost = cell(&name).as_deref().map(|text| number(&name, text)).transpose()?.flatten();
            let place = self.table.placed(model)?;
            if let (Some(score), Some(cost_usd)) = (score, cost) {
                row.outcomes.insert(place, ModelOutcome { score, cost_usd });
            }
        }
        self.table.push(row).map(drop)
    }

    fn long(&mut self, prompt: &str, any: impl Fn(&[&str]) -> Option<String>) -> Result<(), String> {
        let lacks = |what: &str| {
            format!(
                "it has no `{what}`: a row has prompt, model, score and cost, or columns `MODEL` and `MODEL{COST_END}`"
            )
        };
        let model = any(&MODEL).ok_or_else(|| lacks("model"))?;
        let score = any(&SCORE).ok_or_else(|| lacks("score"))?;
        let cost = any(&COST).ok_or_else(|| lacks("cost"))?;
        let (score, cost) = (number("score", &score)?, number("cost", &cost)?);
        let named = any(&ID).unwrap_or_else(|| prompt.to_owned());
        let digest: [u8; 32] = Sha256::digest(named.as_bytes()).into();
        let row = match self.prompts.get(&digest) {
            Some(row) => *row,
            None => self.table.push(PromptRow { tokens: tokens_of(prompt), ..PromptRow::default() })?,
        };
        self.prompts.insert(digest, row);
        let place = self.table.placed(&model)?;
        if let (Some(score), Some(cost_usd)) = (score, cost) {
            self.table.rows[row].outcomes.insert(place, ModelOutcome { score, cost_usd });
        }
        Ok(())
    }
}

/// A blank cell is no outcome. RouterBench also writes scores as words.
fn number(what: &str, text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    match text {
        "" | "nan" | "NaN" | "None" => return Ok(None),
        "True" | "true" => return Ok(Some(1.0)),
        "False" | "false" => return Ok(Some(0.0)),
        _ => {}
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.map(Some).ok_or_else(|| format!("`{what}` is no number: `{}`", text.chars().take(40).collect::<String>()))
}
