//! The project's own prompts: files `prompts/NAME.LANG.md`.

use std::collections::BTreeMap;
use std::path::Path;

use baton_core::agent::AgentDefinition;
use baton_engine::PromptOverride;
use baton_memory::{PROMPTS, PromptSet};

use super::files::{display_path, files, read};
use crate::UsageError;

/// Replaces prompts of agents, of memory and of the system with the project's own.
pub fn apply_prompts(
    agents: &mut BTreeMap<String, AgentDefinition>,
    memory: &mut PromptSet,
    folder: &Path,
) -> anyhow::Result<()> {
    for file in files(folder, &["md"])? {
        let wrong = |error| {
            let hint = format!("memory's are {}; see docs/concepts/agents.md", PROMPTS.join(" and "));
            UsageError::new(format!("{}: {error}", display_path(&file))).hint(hint)
        };
        let PromptOverride { name, language, text } = prompt_of(&file)?;
        match PROMPTS.contains(&name.as_str()) {
            true => memory.put(&name, &language, text).map_err(wrong)?,
            false => baton_engine::put_prompt(agents, PromptOverride { name, language, text }).map_err(wrong)?,
        }
    }
    Ok(())
}

fn prompt_of(file: &Path) -> anyhow::Result<PromptOverride> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_language = |tag: &str| (2..=3).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_lowercase());
    let Some((name, language)) = stem.rsplit_once('.').filter(|(_, tag)| is_language(tag)) else {
        let told = format!("{} does not name its language", display_path(file));
        return Err(UsageError::new(told).hint("call it NAME.LANG.md, such as router.es.md").into());
    };
    let text =
        String::from_utf8(read(file)?).map_err(|_| UsageError::new(format!("{} is not UTF-8", display_path(file))))?;
    Ok(PromptOverride { name: name.to_owned(), language: language.to_owned(), text: text.trim_end().to_owned() })
}
