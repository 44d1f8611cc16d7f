//! Pinecone's data plane (API 2025-10): queries by a vector from Baton's embedder, or by text if the index computes
//! embeddings itself.

use std::sync::Arc;

use baton_core::tool::EffectClass;
use reqwest::header::HeaderName;
use serde_json::{Map, Value, json};

use super::config::{PineconeConfig, named};
use super::external::{ExternalHit, ExternalQuery, unreadable_response};
use super::external_chunks::VectorRecord;
use crate::config::SecretString;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::tool_error::ToolError;
use crate::vendor::{VendorApi, VendorAuth, VendorError, VendorRequest};

pub(super) const NAME: &str = "pinecone";
const VERSION: &str = "2025-10";

pub(super) struct PineconeIndex {
    vendor: VendorApi,
    config: PineconeConfig,
    key: SecretString,
}

impl PineconeIndex {
    pub(super) fn new(config: &PineconeConfig, key: SecretString, outbound: Arc<OutboundClient>) -> Self {
        let vendor = VendorApi::new(NAME, config.host.clone(), outbound, complaint);
        Self { vendor, config: config.clone(), key }
    }

    pub(super) fn is_integrated(&self) -> bool {
        self.config.integrated
    }

    pub(super) async fn search_vector(
        &self,
        wanted: &ExternalQuery<'_>,
        vector: &[f32],
    ) -> Result<Vec<ExternalHit>, ToolError> {
        let body = json!({
            "namespace": named(&self.config.namespace, wanted.tenant), "vector": vector, "topK": wanted.top,
            "includeMetadata": true, "includeValues": false, "filter": wanted.filter,
        });
        let answer = self.identified(self.vendor.post(&["query"])).json(&body).send(EffectClass::Read).await?.value();
        self.hits(&answer["matches"], "id", "score", "metadata")
    }

    pub(super) async fn search_text(&self, wanted: &ExternalQuery<'_>) -> Result<Vec<ExternalHit>, ToolError> {
        let query = json!({"inputs": {"text": wanted.query}, "top_k": wanted.top, "filter": wanted.filter});
        let namespace = named(&self.config.namespace, wanted.tenant);
        let ask = self.vendor.post(&["records", "namespaces", &namespace, "search"]);
        let answer = self.identified(ask).json(&json!({"query": query})).send(EffectClass::Read).await?.value();
        self.hits(&answer["result"]["hits"], "_id", "_score", "fields")
    }

    pub(super) async fn put(&self, tenant: &str, records: &[VectorRecord]) -> Result<(), ToolError> {
        let namespace = named(&self.config.namespace, tenant);
        let with_text = |record: &VectorRecord| {
            let mut metadata = record.metadata.clone();
            metadata.insert(self.config.text_field.clone(), json!(record.text));
            metadata
        };
        let ask = if self.is_integrated() {
            // One JSON object per line.
            let line = |record: &VectorRecord| {
                let mut fields = with_text(record);
                fields.insert("_id".to_owned(), json!(record.id));
                format!("{}\n", Value::Object(fields))
            };
            let body = records.iter().map(line).collect::<String>().into_bytes();
            let ask = self.vendor.post(&["records", "namespaces", &namespace, "upsert"]);
            self.identified(ask).body("application/x-ndjson", body)
        } else {
            let vector = |record: &VectorRecord| json!({"id": record.id, "values": record.vector, "metadata": with_text(record)});
            let vectors: Vec<Value> = records.iter().map(vector).collect();
            let ask = self.identified(self.vendor.post(&["vectors", "upsert"]));
            ask.json(&json!({"namespace": namespace, "vectors": vectors}))
        };
        // Upserting the same records again has no further effect.
        ask.send(EffectClass::Read).await.map(drop)
    }

    /// Deletes asynchronously: an accepted deletion is done, but searches may still find it for a moment.
    pub(super) async fn delete(&self, tenant: &str, filter: &Value) -> Result<(), ToolError> {
        let body = json!({"namespace": named(&self.config.namespace, tenant), "filter": filter});
        let ask = self.identified(self.vendor.post(&["vectors", "delete"])).json(&body);
        // A namespace that does not exist is empty.
        ask.accepting(&[404]).send(EffectClass::Read).await.map(drop)
    }

    fn identified<'v>(&self, ask: VendorRequest<'v>) -> VendorRequest<'v> {
        let ask = ask.auth(VendorAuth::Header { name: HeaderName::from_static("api-key"), secret: &self.key });
        ask.header(HeaderName::from_static("x-pinecone-api-version"), VERSION)
    }

    fn hits(&self, list: &Value, id: &str, score: &str, fields: &str) -> Result<Vec<ExternalHit>, ToolError> {
        let list = list.as_array().ok_or_else(|| unreadable_response(NAME))?;
        let hit = |hit: &Value| {
            let mut metadata = hit[fields].as_object().cloned().unwrap_or_else(Map::new);
            let content = metadata.remove(&self.config.text_field).and_then(|text| text.as_str().map(str::to_owned));
            ExternalHit {
                id: hit[id].as_str().unwrap_or_default().to_owned(),
                content: content.unwrap_or_default(),
                score: hit[score].as_f64().unwrap_or(0.0),
                metadata,
            }
        };
        Ok(list.iter().map(hit).collect())
    }
}

/// Reads an error `{"code", "message"}`, or the same below `error`.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    VendorError::from_response(answer, &["/message", "/error/message"])
}
