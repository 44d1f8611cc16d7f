//! Which API key is used for a call.

use std::borrow::Cow;

use baton_core::run::{BlockReason, ModelCallError};
use baton_ports::models::ModelCaller;
use serde::{Deserialize, Serialize};

use crate::fault::{code, lasting};

/// The message by which clients recognize the error.
const MISSING: &str = "Missing API key. Consumer must provide their own key.";
const MISSING_KEY_HINT: &str = "bring one: BATON_CONSUMER_KEY in the environment of the command, `api_key` in the run's context, or the \
                         header `x-provider-key` over HTTP; `keys = \"either\"` under [models] lets the project's own serve";

/// The setting `models.keys`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPolicy {
    /// Always the consumer's own key.
    Consumer,
    /// Always the project's key, even if a consumer brings one.
    Tenant,
    /// The consumer's key if it brings one, else the project's.
    #[default]
    Either,
}

impl KeyPolicy {
    /// Returns the caller with the API key to use.
    ///
    /// # Errors
    /// `MISSING_API_KEY` if the consumer must bring a key and has not, or brought one that is no longer available. The
    /// block says that a run may wait for it.
    pub(crate) fn resolve(self, asker: &ModelCaller) -> Result<Cow<'_, ModelCaller>, ModelCallError> {
        match (self, &asker.api_key) {
            (Self::Tenant, Some(_)) => Ok(Cow::Owned(ModelCaller { api_key: None, ..asker.clone() })),
            (Self::Consumer, None) => Err(missing()),
            (Self::Either, None) if asker.key_is_missing => Err(missing()),
            (Self::Tenant | Self::Either, None) | (Self::Consumer | Self::Either, Some(_)) => Ok(Cow::Borrowed(asker)),
        }
    }
}

fn missing() -> ModelCallError {
    let mut fault = lasting(code::MISSING_API_KEY, MISSING);
    fault.fault.suggested_action = Some(MISSING_KEY_HINT.into());
    ModelCallError { block: Some(BlockReason::Key), ..fault }
}

#[cfg(test)]
mod tests {
    use baton_ports::models::ConsumerKey;

    use super::*;
    use crate::providers::test_support::asker;

    /// The API key to use; `missing` if the call cannot be sent.
    fn under(keys: KeyPolicy, brought: Option<&str>, lost_key: bool) -> Option<String> {
        let asker = ModelCaller { api_key: brought.map(ConsumerKey::new), key_is_missing: lost_key, ..asker(1) };
        match keys.resolve(&asker) {
            Ok(asker) => asker.api_key.as_ref().map(|key| key.secret().to_owned()),
            Err(fault) => {
                assert_eq!((fault.fault.message.as_str(), fault.block), (MISSING, Some(BlockReason::Key)));
                Some("missing".to_owned())
            }
        }
    }

    #[test]
    fn a_call_goes_out_under_the_key_the_settings_say() {
        for (keys, brought, nothing, lost) in [
            (KeyPolicy::Consumer, Some("own"), Some("missing"), Some("missing")),
            (KeyPolicy::Tenant, None, None, None),
            (KeyPolicy::Either, Some("own"), None, Some("missing")),
        ] {
            let owned = |key: Option<&str>| key.map(str::to_owned);
            assert_eq!(under(keys, Some("own"), false), owned(brought), "{keys:?}");
            assert_eq!(under(keys, None, false), owned(nothing), "{keys:?}");
            assert_eq!(under(keys, None, true), owned(lost), "{keys:?}");
        }
    }
}
