//! Additional fields of OpenAI's chat completions that a request may contain. This is an allowlist: an unknown field
//! may ask for more replies, more expensive tokens or separately billed services, and the bound on the call's price
//! would not hold.

use serde_json::{Map, Value, json};

/// Fields that are forwarded if the provider supports them. None of them changes the price of a token or the number of
/// replies, and `max_tokens` bounds the output.
pub const FORWARDED_FIELDS: [&str; 17] = [
    "cache_control",
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "min_p",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "repetition_penalty",
    "safety_identifier",
    "seed",
    "stop",
    "top_k",
    "top_p",
    "user",
    "verbosity",
];

/// A field that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFieldError {
    pub field: String,
    /// What to do instead.
    pub remedy: String,
}

/// Returns the fields to forward, of those that are not handled otherwise. A field without a value counts as absent.
///
/// # Errors
/// The first field that is not accepted.
pub fn forwarded_fields(more: Map<String, Value>) -> Result<Map<String, Value>, ModelFieldError> {
    let mut kept = Map::new();
    for (name, value) in more {
        if FORWARDED_FIELDS.contains(&name.as_str()) && !value.is_null() {
            kept.insert(name, value);
        } else if !value.is_null() && !is_default(&name, &value) {
            return Err(ModelFieldError { remedy: remedy_for(&name).to_owned(), field: name });
        }
    }
    Ok(kept)
}

/// Returns whether a field asks for the default behaviour: then it is accepted and dropped.
fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "n" | "best_of" => *value == json!(1),
        "logprobs" | "store" => *value == json!(false),
        "top_logprobs" => *value == json!(0),
        "service_tier" => [json!("auto"), json!("default")].contains(value),
        "modalities" => *value == json!(["text"]),
        _ => false,
    }
}

fn remedy_for(name: &str) -> &'static str {
    match name {
        "n" | "best_of" => "only one choice can be asked for: leave it out, or write 1",
        "logprobs" | "top_logprobs" => "probabilities are not told here: leave it out",
        "store" => "nothing is stored at the provider: leave it out, or write false",
        "service_tier" => "other tiers have other prices: leave it out, or write `auto` or `default`",
        "modalities" | "audio" => "only text is answered here: leave it out, or write `modalities: [\"text\"]`",
        "prediction" => "predicted tokens are billed beside `max_tokens`: leave it out",
        "web_search_options" | "plugins" => {
            "searches of the provider are billed apart: leave it out, and offer a tool that searches"
        }
        "functions" => "it is deprecated: leave it out, and write `tools`",
        "function_call" => "it is deprecated: leave it out, and write `tool_choice`",
        "models" | "route" | "provider" | "fallbacks" => {
            "whom to ask is chosen here: leave it out, and write a profile or a model as `model`"
        }
        _ => "no such field is sent on: leave it out; docs/guides/gateway.md lists those that are",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: &Value) -> Map<String, Value> {
        value.as_object().expect("fields").clone()
    }

    #[test]
    fn a_field_that_is_known_is_sent_as_it_is() {
        let known = fields(&json!({"top_p": 0.5, "seed": 7, "stop": ["END"], "reasoning_effort": "low"}));
        assert_eq!(forwarded_fields(known.clone()), Ok(known));
    }

    #[test]
    fn a_field_that_asks_for_what_there_is_anyway_is_taken_and_left_out() {
        let usual = fields(&json!({
            "n": 1, "best_of": 1, "logprobs": false, "store": false, "service_tier": "auto", "modalities": ["text"],
            "prediction": null, "audio": null, "top_p": null,
        }));
        assert_eq!(forwarded_fields(usual), Ok(Map::new()));
    }

    #[test]
    fn a_field_that_would_break_the_price_is_refused_by_name_with_a_way_out() {
        for (name, value) in [
            ("n", json!(2)),
            ("n", json!("1")),
            ("best_of", json!(5)),
            ("prediction", json!({"type": "content", "content": "x"})),
            ("service_tier", json!("priority")),
            ("web_search_options", json!({})),
            ("audio", json!({"voice": "alloy"})),
            ("modalities", json!(["text", "audio"])),
            ("logprobs", json!(true)),
            ("functions", json!([])),
            ("models", json!(["dear"])),
            ("use_beam_search", json!(true)),
            ("something_new", json!(0)),
        ] {
            let refused = forwarded_fields(fields(&json!({ name: value }))).expect_err(name);
            assert_eq!(refused.field, name);
            assert!(refused.remedy.contains("leave it out"), "{refused:?}");
        }
    }
}
