//! Pinecone's data plane (API 2025-10): by a vector of ours, or by words where the index embeds by itself.

use std::sync::Arc;

use baton_core::tool::Class;
use reqwest::header::HeaderName;
use serde_json::{Map, Value, json};

use super::config::{PineconeConfig, named};
use super::outside::{Hit, Wanted, unreadable};
use crate::config::Secret;
use crate::failure::Failure;
use crate::outbound::{Answer, Outbound};
use crate::vendor::{Ask, Auth, Complaint, Vendor};

pub(super) const NAME: &str = "pinecone";
const VERSION: &str = "2025-10";

pub(super) struct Pinecone {
    vendor: Vendor,
    config: PineconeConfig,
    key: Secret,
}

impl Pinecone {
    pub(super) fn new(config: &PineconeConfig, key: Secret, outbound: Arc<Outbound>) -> Self {
        let vendor = Vendor::new(NAME, config.host.clone(), outbound, complaint);
        Self { vendor, config: config.clone(), key }
    }

    pub(super) fn is_integrated(&self) -> bool {
        self.config.integrated
    }

    pub(super) async fn search_vector(&self, wanted: &Wanted<'_>, vector: &[f32]) -> Result<Vec<Hit>, Failure> {
        let mut body = json!({
            "namespace": named(&self.config.namespace, wanted.tenant), "vector": vector, "topK": wanted.top,
            "includeMetadata": true, "includeValues": false,
        });
        if let Some(filter) = &wanted.filter {
            body["filter"] = filter.clone();
        }
        let answer = self.identified(self.vendor.post(&["query"])).json(&body).send(Class::Read).await?.value();
        self.hits(&answer["matches"], "id", "score", "metadata")
    }

    pub(super) async fn search_text(&self, wanted: &Wanted<'_>) -> Result<Vec<Hit>, Failure> {
        let mut query = json!({"inputs": {"text": wanted.query}, "top_k": wanted.top});
        if let Some(filter) = &wanted.filter {
            query["filter"] = filter.clone();
        }
        let namespace = named(&self.config.namespace, wanted.tenant);
        let ask = self.vendor.post(&["records", "namespaces", &namespace, "search"]);
        let answer = self.identified(ask).json(&json!({"query": query})).send(Class::Read).await?.value();
        self.hits(&answer["result"]["hits"], "_id", "_score", "fields")
    }

    fn identified<'v>(&self, ask: Ask<'v>) -> Ask<'v> {
        let ask = ask.auth(Auth::Header { name: HeaderName::from_static("api-key"), secret: &self.key });
        ask.header(HeaderName::from_static("x-pinecone-api-version"), VERSION)
    }

    fn hits(&self, list: &Value, id: &str, score: &str, fields: &str) -> Result<Vec<Hit>, Failure> {
        let list = list.as_array().ok_or_else(|| unreadable(NAME))?;
        let hit = |hit: &Value| {
            let mut metadata = hit[fields].as_object().cloned().unwrap_or_else(Map::new);
            let content = metadata.remove(&self.config.text_field).and_then(|text| text.as_str().map(str::to_owned));
            Hit {
                id: hit[id].as_str().unwrap_or_default().to_owned(),
                content: content.unwrap_or_default(),
                score: hit[score].as_f64().unwrap_or(0.0),
                metadata,
            }
        };
        Ok(list.iter().map(hit).collect())
    }
}

/// `{"code", "message"}`, or the same below `error`.
fn complaint(answer: &Answer) -> Option<Complaint> {
    Complaint::worded(answer, &["/message", "/error/message"])
}
