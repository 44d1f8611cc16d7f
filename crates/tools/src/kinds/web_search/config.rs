//! Where the web is searched.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// Without an address, `web_search` refuses and says so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSearchConfig {
    /// Where the instance is: `https://search.example.com`. It may be a private address: it is named here.
    pub url: Option<BaseUrl>,
    /// Sent as the header `Authorization`, where the instance stands behind a login: `Bearer …`, `Basic …`.
    pub authorization: Option<SecretString>,
    /// Added to every search: `engines = "wikipedia"`, `safesearch = "1"`.
    pub query: BTreeMap<String, String>,
}
