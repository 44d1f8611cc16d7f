//! Which model answers a request. One function: scoring, budgets, circuits and fallbacks come behind it.

use baton_core::model::Request;

use crate::catalogue::{Catalogue, Spec};
use crate::config::Tiers;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice<'a> {
    pub model: String,
    /// Unknown models are asked all the same; their calls have no price.
    pub spec: Option<&'a Spec>,
}

/// The model asked for by name, else the profile's.
pub(crate) fn choose<'a>(request: &Request, tiers: &Tiers, catalogue: &'a Catalogue) -> Choice<'a> {
    let model = request.model.as_deref().unwrap_or_else(|| tiers.of(request.profile));
    Choice { model: model.to_owned(), spec: catalogue.find(model) }
}

#[cfg(test)]
mod tests {
    use baton_core::model::Profile;

    use super::*;
    use crate::providers::rehearsal::request;

    fn chosen(profile: Profile, by_name: Option<&str>) -> (String, bool) {
        let catalogue = Catalogue::shipped().expect("a catalogue");
        let request = Request { profile, model: by_name.map(str::to_owned), ..request("a", &[]) };
        let choice = choose(&request, &Tiers::default(), &catalogue);
        (choice.model, choice.spec.is_some())
    }

    #[test]
    fn a_profile_means_a_model_and_a_name_means_itself() {
        assert_eq!(chosen(Profile::Fast, None), ("gpt-3.5-turbo".into(), true));
        assert_eq!(chosen(Profile::Balanced, None), ("gpt-4-turbo".into(), true));
        assert_eq!(chosen(Profile::Powerful, None), ("gpt-4".into(), true));
        assert_eq!(chosen(Profile::Fast, Some("claude-3-opus")), ("claude-3-opus".into(), true));
        assert_eq!(chosen(Profile::Fast, Some("llama")), ("llama".into(), false));
    }
}
