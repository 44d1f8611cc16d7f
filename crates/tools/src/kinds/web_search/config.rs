//! Settings of the web search.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The settings. Without an address, `web_search` is refused with a message that says so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSearchConfig {
    /// The address of the instance: `https://search.example.com`. It may be private, because it is named here.
    pub url: Option<BaseUrl>,
    /// The header `Authorization`, if the instance requires a login: `Bearer …`, `Basic …`.
    pub authorization: Option<SecretString>,
    /// Added to every search: `engines = "wikipedia"`, `safesearch = "1"`.
    pub query: BTreeMap<String, String>,
}
