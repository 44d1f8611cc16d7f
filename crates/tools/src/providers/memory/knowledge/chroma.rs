//! Chroma's HTTP API, version 2.

use std::sync::Arc;

use baton_core::tool::Class;
use reqwest::header::HeaderName;
use serde_json::{Map, Value, json};

use super::config::{ChromaConfig, named};
use super::outside::{Hit, Wanted, unreadable};
use crate::code;
use crate::config::Secret;
use crate::failure::Failure;
use crate::outbound::{Answer, Outbound};
use crate::vendor::{Ask, Auth, Complaint, Meaning, Vendor};

pub(super) const NAME: &str = "chroma";

pub(super) struct Chroma {
    vendor: Vendor,
    config: ChromaConfig,
    token: Option<Secret>,
}

impl Chroma {
    pub(super) fn new(config: &ChromaConfig, token: Option<Secret>, outbound: Arc<Outbound>) -> Self {
        let vendor = Vendor::new(NAME, config.base_url.clone(), outbound, complaint);
        Self { vendor, config: config.clone(), token }
    }

    pub(super) async fn search(&self, wanted: &Wanted<'_>, vector: &[f32]) -> Result<Vec<Hit>, Failure> {
        let collection = named(&self.config.collection, wanted.tenant);
        // A collection is asked by its id, which changes when it is made anew: it is looked up each time.
        let found = self.identified(self.vendor.get(&self.path(&[&collection]))).send(Class::Read).await?.value();
        let id = found["id"].as_str().ok_or_else(|| unreadable(NAME))?;
        let mut body = json!({
            "query_embeddings": [vector], "n_results": wanted.top, "include": ["documents", "metadatas", "distances"],
        });
        if let Some(filter) = &wanted.filter {
            body["where"] = filter.clone();
        }
        let ask = self.identified(self.vendor.post(&self.path(&[id, "query"]))).json(&body);
        hits(&ask.send(Class::Read).await?.value()).ok_or_else(|| unreadable(NAME))
    }

    fn path<'p>(&'p self, rest: &[&'p str]) -> Vec<&'p str> {
        let ChromaConfig { tenant, database, .. } = &self.config;
        let mut path = vec!["api", "v2", "tenants", tenant.as_str(), "databases", database.as_str(), "collections"];
        path.extend_from_slice(rest);
        path
    }

    fn identified<'v>(&self, ask: Ask<'v>) -> Ask<'v> {
        match &self.token {
            Some(secret) => ask.auth(Auth::Header { name: HeaderName::from_static("x-chroma-token"), secret }),
            None => ask,
        }
    }
}

/// Lists of lists, one for each query; we ask one.
fn hits(answer: &Value) -> Option<Vec<Hit>> {
    let column = |name: &str| answer[name][0].as_array().map(Vec::as_slice).unwrap_or_default();
    let (documents, metadatas, distances) = (column("documents"), column("metadatas"), column("distances"));
    let ids = answer["ids"][0].as_array()?;
    let hit = |(at, id): (usize, &Value)| {
        let distance = distances.get(at).and_then(Value::as_f64).unwrap_or(f64::MAX);
        let metadata = metadatas.get(at).and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        let content = documents.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        Hit {
            id: id.as_str().unwrap_or_default().to_owned(),
            content,
            score: 1.0 / (1.0 + distance.max(0.0)),
            metadata,
        }
    };
    Some(ids.iter().enumerate().map(hit).collect())
}

/// `{"error", "message"}`.
fn complaint(answer: &Answer) -> Option<Complaint> {
    let complaint = Complaint::worded(answer, &["/message", "/error"])?;
    let meaning = match answer.status {
        // A vector of another length than the collection's comes here too.
        400 | 422 => Meaning::Refused(code::SERVICE_REJECTED),
        _ => Meaning::AsStatus,
    };
    Some(Complaint { meaning, ..complaint })
}
