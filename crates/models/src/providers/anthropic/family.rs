//! What the name of a Claude model implies (the provider's migration guides, read in November 2026).

/// Generation and release of a model, such as (4, 5); `None` if the name contains none, as with aliases.
fn version(model: &str) -> Option<(u32, u32)> {
    let name = &model[model.find("claude")?..];
    // A number of six or more digits is a date.
    let mut numbers =
        name.split(['-', '.', '@', ':']).filter_map(|part| part.parse::<u32>().ok().filter(|n| *n < 1_000));
    let major = numbers.next()?;
    Some((major, numbers.next().unwrap_or(0)))
}

/// Whether it accepts `temperature`, `top_p` and `top_k`; models from 4.7 on refuse them.
pub(super) fn takes_temperature(model: &str) -> bool {
    version(model).is_none_or(|version| version < (4, 7))
}

/// Whether it can be forced to call a tool; models from 5.1 on refuse that.
pub(super) fn can_be_forced(model: &str) -> bool {
    version(model).is_none_or(|version| version < (5, 1))
}

/// Whether it enforces a JSON Schema itself; models from 4.5 on do.
pub(super) fn enforces_schemas(model: &str) -> bool {
    version(model).is_none_or(|version| version >= (4, 5))
}

/// Whether it supports `output_config.effort`.
pub(super) fn takes_effort(model: &str) -> bool {
    version(model).is_none_or(|version| version >= (4, 6))
}

/// Maximum tokens of one reply if neither the request nor the catalogue sets a limit. In newer models this includes
/// thinking.
pub(super) fn max_tokens(model: &str) -> u64 {
    match version(model) {
        Some((..=3, _)) => 4_096,
        Some((4, ..=6)) => 8_192,
        Some(_) | None => 16_384,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_ages_say_their_version() {
        for (model, expected) in [
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-3-5-sonnet-20241022", Some((3, 5))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-sonnet-5", Some((5, 0))),
            ("claude-opus-5-5", Some((5, 5))),
            ("anthropic/claude-opus-4.8", Some((4, 8))),
            ("claude-2.1", Some((2, 1))),
            ("my-deployment-7", None),
        ] {
            assert_eq!(version(model), expected, "{model}");
        }
    }

    #[test]
    fn what_a_model_takes_follows_from_its_version() {
        let facts = |model| {
            (
                takes_temperature(model),
                can_be_forced(model),
                enforces_schemas(model),
                takes_effort(model),
                max_tokens(model),
            )
        };
        assert_eq!(facts("claude-3-haiku-20240307"), (true, true, false, false, 4_096));
        assert_eq!(facts("claude-haiku-4-5"), (true, true, true, false, 8_192));
        assert_eq!(facts("claude-opus-4-7"), (false, true, true, true, 16_384));
        assert_eq!(facts("claude-opus-5-5"), (false, false, true, true, 16_384));
    }
}
