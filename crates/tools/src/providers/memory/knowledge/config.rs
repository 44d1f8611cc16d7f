//! Settings of the knowledge base.

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The placeholder of the tenant's name in a collection or a namespace.
const TENANT: &str = "{tenant}";

/// The settings. Without a service, passages come from Baton's own memory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeConfig {
    pub chroma: Option<ChromaConfig>,
    pub pinecone: Option<PineconeConfig>,
}

/// A Chroma server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChromaConfig {
    /// Such as `http://localhost:8000`.
    pub base_url: BaseUrl,
    /// Chroma's own tenant and database.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    #[serde(default = "default_database")]
    pub database: String,
    /// `{tenant}` is replaced by the name of Baton's tenant. It is also the default, so that no two tenants share a
    /// collection by accident.
    #[serde(default = "own")]
    pub collection: String,
    /// If the server requires one.
    #[serde(default)]
    pub token: Option<SecretString>,
}

/// An index at Pinecone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PineconeConfig {
    /// The index's own address: `https://NAME-PROJECT.svc.REGION.pinecone.io`.
    pub host: BaseUrl,
    #[serde(default)]
    pub api_key: Option<SecretString>,
    /// Like Chroma's `collection`.
    #[serde(default = "own")]
    pub namespace: String,
    /// The field of a record that contains its text.
    #[serde(default = "text")]
    pub text_field: String,
    /// Whether the index computes embeddings itself; otherwise Baton's embedder does.
    #[serde(default)]
    pub integrated: bool,
}

impl KnowledgeConfig {
    /// Checks the settings. The error states why no service can be chosen.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.chroma.is_some() && self.pinecone.is_some() {
            return Err("`chroma` and `pinecone` are both there; leave one".to_owned());
        }
        Ok(())
    }
}

/// Returns a collection's or a namespace's name for a tenant.
pub(super) fn named(template: &str, tenant: &str) -> String {
    template.replace(TENANT, tenant)
}

fn default_tenant() -> String {
    "default_tenant".to_owned()
}

fn default_database() -> String {
    "default_database".to_owned()
}

fn own() -> String {
    TENANT.to_owned()
}

fn text() -> String {
    "text".to_owned()
}
