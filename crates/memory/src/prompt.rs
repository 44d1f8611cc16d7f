//! The prompts of this crate: Jinja templates in English and Spanish, `prompts/NAME.LANG.md`. A project may replace
//! them with its own, in any language, which get the same variables.

use std::collections::BTreeMap;

use baton_core::agent::primary_language;
use baton_expr::{JinjaTemplate, JsonContext};
use serde_json::{Value, json};

/// Identifies a prompt. Its word is also the agent name of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryPrompt {
    /// Whether passages answer a question: `question`.
    Judge,
    /// The running summary of a conversation: `summary` (the summary so far, or null).
    Summary,
}

/// The languages of the built-in prompts; the first is the fallback for other languages.
const LANGUAGES: [&str; 2] = ["en", "es"];

impl MemoryPrompt {
    const ALL: [Self; 2] = [Self::Judge, Self::Summary];

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word() == word)
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Judge => "rag_judge",
            Self::Summary => "memory_summary",
        }
    }

    fn ours(self) -> [&'static str; LANGUAGES.len()] {
        match self {
            Self::Judge => [include_str!("prompts/rag_judge.en.md"), include_str!("prompts/rag_judge.es.md")],
            Self::Summary => {
                [include_str!("prompts/memory_summary.en.md"), include_str!("prompts/memory_summary.es.md")]
            }
        }
    }

    /// Sample variables, to check a template.
    fn sample(self) -> Value {
        match self {
            Self::Judge => json!({"question": "?"}),
            Self::Summary => json!({"summary": null}),
        }
    }
}

/// The names of all prompts of this crate.
pub const PROMPTS: [&str; 2] = [MemoryPrompt::Judge.word(), MemoryPrompt::Summary.word()];

/// A project's own prompts, by name and language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptSet(BTreeMap<String, String>);

impl PromptSet {
    /// Replaces a built-in prompt.
    ///
    /// # Errors
    /// The prompt does not exist, or the template cannot be rendered.
    pub fn put(&mut self, name: &str, language: &str, text: String) -> Result<(), String> {
        let Some(known) = MemoryPrompt::of(name) else {
            return Err(format!("`{name}` is no prompt of memory's; there are {}", PROMPTS.join(" and ")));
        };
        write(&text, &known.sample()).map_err(|error| format!("the prompt `{name}` cannot be written: {error}"))?;
        self.0.insert(format!("{name}.{language}"), text);
        Ok(())
    }

    /// Renders the prompt in the customer's language.
    ///
    /// # Errors
    /// A project's own template that cannot be rendered with these values.
    pub(crate) fn render(&self, name: MemoryPrompt, language: Option<&str>, values: &Value) -> Result<String, String> {
        let spoken = primary_language(language.unwrap_or_default());
        let own = |language: &str| self.0.get(&format!("{}.{language}", name.word())).map(String::as_str);
        let ours = |language: &str| Some(name.ours()[LANGUAGES.iter().position(|known| *known == language)?]);
        let of = |language: &str| own(language).or_else(|| ours(language));
        let source = of(&spoken).or_else(|| of(LANGUAGES[0])).unwrap_or_default();
        write(source, values).map_err(|error| format!("the prompt `{}` cannot be written: {error}", name.word()))
    }
}

fn write(source: &str, values: &Value) -> Result<String, String> {
    let template = JinjaTemplate::parse(source).map_err(|error| error.to_string())?;
    let written = template.render(&JsonContext::timeless(values)).map_err(|error| error.to_string())?;
    Ok(written.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(prompts: &PromptSet, language: Option<&str>) -> String {
        prompts.render(MemoryPrompt::Judge, language, &json!({"question": "when?"})).expect("is written")
    }

    #[test]
    fn each_is_there_in_each_language_and_english_is_for_everybody_else() {
        let ours = PromptSet::default();
        for name in MemoryPrompt::ALL {
            let [english, spanish] =
                [Some("en-GB"), Some("es_MX")].map(|language| ours.render(name, language, &name.sample()).unwrap());
            assert_ne!(english, spanish);
            for other in [None, Some("fi")] {
                assert_eq!(ours.render(name, other, &name.sample()).unwrap(), english);
            }
        }
    }

    #[test]
    fn a_project_s_own_comes_first_and_one_that_cannot_be_written_is_refused() {
        let mut own = PromptSet::default();
        own.put("rag_judge", "fi", "Tuomitse: {{ question }}".to_owned()).expect("is put");
        own.put("rag_judge", "es", "Juzga.".to_owned()).expect("is put");
        assert_eq!(judge(&own, Some("fi")), "Tuomitse: when?");
        assert_eq!(judge(&own, Some("es")), "Juzga.");
        assert_eq!(judge(&own, None), judge(&PromptSet::default(), None));
        let refused = own.put("memory_summary", "en", "{{ question }}".to_owned()).expect_err("it sees no question");
        assert!(refused.contains("memory_summary") && refused.contains("question"), "{refused}");
        assert!(own.put("rag_juge", "en", String::new()).expect_err("a typo").contains("rag_judge"));
    }
}
