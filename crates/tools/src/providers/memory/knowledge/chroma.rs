//! Chroma's HTTP API, version 2.

use std::sync::Arc;

use baton_core::tool::EffectClass;
use reqwest::header::HeaderName;
use serde_json::{Map, Value, json};

use super::config::{ChromaConfig, named};
use super::external::{ExternalHit, ExternalQuery, not_deleted, unreadable_response};
use super::external_chunks::VectorRecord;
use crate::code;
use crate::config::SecretString;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::tool_error::ToolError;
use crate::vendor::{VendorApi, VendorAuth, VendorError, VendorErrorMeaning, VendorRequest};

pub(super) const NAME: &str = "chroma";

pub(super) struct ChromaIndex {
    vendor: VendorApi,
    config: ChromaConfig,
    token: Option<SecretString>,
}

impl ChromaIndex {
    pub(super) fn new(config: &ChromaConfig, token: Option<SecretString>, outbound: Arc<OutboundClient>) -> Self {
        let vendor = VendorApi::new(NAME, config.base_url.clone(), outbound, complaint);
        Self { vendor, config: config.clone(), token }
    }

    pub(super) async fn search(
        &self,
        wanted: &ExternalQuery<'_>,
        vector: &[f32],
    ) -> Result<Vec<ExternalHit>, ToolError> {
        let collection = named(&self.config.collection, wanted.tenant);
        // A collection is addressed by its id, which changes when it is created again, so it is looked up each time.
        let found = self.identified(self.vendor.get(&self.path(&[&collection]))).send(EffectClass::Read).await?.value();
        let id = found["id"].as_str().ok_or_else(|| unreadable_response(NAME))?;
        let body = json!({
            "query_embeddings": [vector], "n_results": wanted.top, "include": ["documents", "metadatas", "distances"],
            "where": wanted.filter,
        });
        let ask = self.identified(self.vendor.post(&self.path(&[id, "query"]))).json(&body);
        hits(&ask.send(EffectClass::Read).await?.value()).ok_or_else(|| unreadable_response(NAME))
    }

    pub(super) async fn put(&self, tenant: &str, records: &[VectorRecord]) -> Result<(), ToolError> {
        let id = self.ensure_collection(tenant).await?;
        let column = |of: fn(&VectorRecord) -> Value| records.iter().map(of).collect::<Value>();
        let body = json!({
            "ids": column(|record| json!(record.id)), "embeddings": column(|record| json!(record.vector)),
            "documents": column(|record| json!(record.text)), "metadatas": column(|record| json!(record.metadata)),
        });
        // Upserting the same records again has no further effect.
        let ask = self.identified(self.vendor.post(&self.path(&[&id, "upsert"]))).json(&body);
        ask.send(EffectClass::Read).await.map(drop)
    }

    pub(super) async fn delete(&self, tenant: &str, filter: &Value) -> Result<(), ToolError> {
        let id = self.ensure_collection(tenant).await?;
        let ask = self.identified(self.vendor.post(&self.path(&[&id, "delete"]))).json(&json!({"where": filter}));
        ask.send(EffectClass::Read).await?;
        let left = json!({"where": filter, "limit": 1, "include": []});
        let ask = self.identified(self.vendor.post(&self.path(&[&id, "get"]))).json(&left);
        let left = ask.send(EffectClass::Read).await?.value();
        match left["ids"].as_array() {
            Some(ids) if ids.is_empty() => Ok(()),
            Some(_) => Err(not_deleted(NAME)),
            None => Err(unreadable_response(NAME)),
        }
    }

    /// Returns the id of the tenant's collection, and creates it if there is none.
    async fn ensure_collection(&self, tenant: &str) -> Result<String, ToolError> {
        let body = json!({"name": named(&self.config.collection, tenant), "get_or_create": true});
        let made =
            self.identified(self.vendor.post(&self.path(&[]))).json(&body).send(EffectClass::Read).await?.value();
        made["id"].as_str().map(str::to_owned).ok_or_else(|| unreadable_response(NAME))
    }

    fn path<'p>(&'p self, rest: &[&'p str]) -> Vec<&'p str> {
        let ChromaConfig { tenant, database, .. } = &self.config;
        let mut path = vec!["api", "v2", "tenants", tenant.as_str(), "databases", database.as_str(), "collections"];
        path.extend_from_slice(rest);
        path
    }

    fn identified<'v>(&self, ask: VendorRequest<'v>) -> VendorRequest<'v> {
        match &self.token {
            Some(secret) => ask.auth(VendorAuth::Header { name: HeaderName::from_static("x-chroma-token"), secret }),
            None => ask,
        }
    }
}

/// Results are lists of lists, one for each query; there is one query.
fn hits(answer: &Value) -> Option<Vec<ExternalHit>> {
    let column = |name: &str| answer[name][0].as_array().map(Vec::as_slice).unwrap_or_default();
    let (documents, metadatas, distances) = (column("documents"), column("metadatas"), column("distances"));
    let ids = answer["ids"][0].as_array()?;
    let hit = |(at, id): (usize, &Value)| {
        let distance = distances.get(at).and_then(Value::as_f64).unwrap_or(f64::MAX);
        let metadata = metadatas.get(at).and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        let content = documents.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        ExternalHit {
            id: id.as_str().unwrap_or_default().to_owned(),
            content,
            score: 1.0 / (1.0 + distance.max(0.0)),
            metadata,
        }
    };
    Some(ids.iter().enumerate().map(hit).collect())
}

/// Reads an error `{"error", "message"}`.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let complaint = VendorError::from_response(answer, &["/message", "/error"])?;
    let meaning = match answer.status {
        // Also returned for a vector whose dimension differs from the collection's.
        400 | 422 => VendorErrorMeaning::Refused(code::SERVICE_REJECTED),
        _ => VendorErrorMeaning::AsStatus,
    };
    Some(VendorError { meaning, ..complaint })
}
