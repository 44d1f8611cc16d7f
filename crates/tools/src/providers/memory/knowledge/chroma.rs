//! Chroma's HTTP API, version 2.

use std::sync::Arc;

use baton_core::tool::Class;
use reqwest::header::HeaderName;
use serde_json::{Map, Value, json};

use super::config::{ChromaConfig, named};
use super::outside::{Hit, Wanted, still_there, unreadable};
use super::pieces::Record;
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
        let body = json!({
            "query_embeddings": [vector], "n_results": wanted.top, "include": ["documents", "metadatas", "distances"],
            "where": wanted.filter,
        });
        let ask = self.identified(self.vendor.post(&self.path(&[id, "query"]))).json(&body);
        hits(&ask.send(Class::Read).await?.value()).ok_or_else(|| unreadable(NAME))
    }

    pub(super) async fn put(&self, tenant: &str, records: &[Record]) -> Result<(), Failure> {
        let id = self.made(tenant).await?;
        let column = |of: fn(&Record) -> Value| records.iter().map(of).collect::<Value>();
        let body = json!({
            "ids": column(|record| json!(record.id)), "embeddings": column(|record| json!(record.vector)),
            "documents": column(|record| json!(record.text)), "metadatas": column(|record| json!(record.metadata)),
        });
        // The same records again are the same records.
        let ask = self.identified(self.vendor.post(&self.path(&[&id, "upsert"]))).json(&body);
        ask.send(Class::Read).await.map(drop)
    }

    pub(super) async fn delete(&self, tenant: &str, filter: &Value) -> Result<(), Failure> {
        let id = self.made(tenant).await?;
        let ask = self.identified(self.vendor.post(&self.path(&[&id, "delete"]))).json(&json!({"where": filter}));
        ask.send(Class::Read).await?;
        let left = json!({"where": filter, "limit": 1, "include": []});
        let ask = self.identified(self.vendor.post(&self.path(&[&id, "get"]))).json(&left);
        let left = ask.send(Class::Read).await?.value();
        match left["ids"].as_array() {
            Some(ids) if ids.is_empty() => Ok(()),
            Some(_) => Err(still_there(NAME)),
            None => Err(unreadable(NAME)),
        }
    }

    /// The id of the tenant's collection, which is made where there is none.
    async fn made(&self, tenant: &str) -> Result<String, Failure> {
        let body = json!({"name": named(&self.config.collection, tenant), "get_or_create": true});
        let made = self.identified(self.vendor.post(&self.path(&[]))).json(&body).send(Class::Read).await?.value();
        made["id"].as_str().map(str::to_owned).ok_or_else(|| unreadable(NAME))
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
