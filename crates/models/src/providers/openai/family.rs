//! What a model's name implies. Deployments and aliases may hide it; the catalogue then states it.

/// Whether a model reasons before it answers and therefore refuses a temperature: OpenAI's `o` series, and `gpt-5` and
/// later except the chat variants. They also use another name for `max_tokens`, which includes the reasoning.
pub(super) fn is_reasoning_model(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    if let Some(version) = name.strip_prefix("gpt-") {
        let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
        return version[..digits].parse::<u32>().is_ok_and(|number| number >= 5) && !version.contains("-chat");
    }
    name.strip_prefix('o').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_reasoning_model;

    #[test]
    fn thinking_models_are_known_by_their_names() {
        for model in
            ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.1", "gpt-6-luna", "openai/gpt-6.2-sol", "gpt-12"]
        {
            assert!(is_reasoning_model(model), "{model}");
        }
        for model in
            ["gpt-4o", "gpt-4.1-mini", "gpt-3.5-turbo", "gpt-oss:20b", "gpt-5-chat-latest", "olmo-2", "omni", "o", ""]
        {
            assert!(!is_reasoning_model(model), "{model}");
        }
    }
}
