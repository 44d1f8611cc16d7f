//! Stricter lints that are counted and never enforced.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::bail;
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// Lints that are worth checking from time to time.
const LINTS: &[&str] = &["clippy::pedantic", "missing_docs", "clippy::too_many_lines", "clippy::excessive_nesting"];

/// The folder whose clippy.toml sets the thresholds. It is separate because setting one in the project's clippy.toml
/// would enforce that lint.
const THRESHOLDS_FOLDER: &str = "xtask/measurements";

/// The number of warnings of each lint, highest first.
pub fn count(workspace: &Workspace) -> anyhow::Result<Vec<(String, usize)>> {
    let mut command = workspace.cargo(["clippy", "--quiet", "--workspace", "--message-format", "json", "--"]);
    for lint in LINTS {
        command.args(["-W", lint]);
    }
    command.env("CLIPPY_CONF_DIR", workspace.root().join(THRESHOLDS_FOLDER)).stderr(Stdio::inherit());
    let finished = process::capture(&mut command)?;
    if !finished.status.success() {
        bail!("`{}` ended with {}", process::command_line(&command), finished.status);
    }
    Ok(tally(&finished.stdout))
}

/// Counts the lints in cargo's messages, one JSON document per line.
fn tally(messages: &str) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if let Some(lint) = message["message"]["code"]["code"].as_str() {
            *counts.entry(lint.to_owned()).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(name, count), (other, more)| more.cmp(count).then_with(|| name.cmp(other)));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_counted_most_first_and_other_messages_passed_over() {
        let message =
            |lint: &str| format!(r#"{{"reason":"compiler-message","message":{{"code":{{"code":"{lint}"}}}}}}"#);
        let told =
            [message("a"), message("b"), message("b"), r#"{"reason":"build-finished"}"#.to_owned(), "x".to_owned()];
        assert_eq!(tally(&told.join("\n")), [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    }
}
