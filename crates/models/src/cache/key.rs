//! The cache key of a reply: the tenant, and everything in a request that may change its reply.

use std::io;

use baton_core::id::TenantId;
use baton_core::model::ModelRequest;
use sha2::{Digest, Sha256};

/// A digest: no part of a request can be recovered from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplyCacheKey([u8; 32]);

impl ReplyCacheKey {
    /// Covers the whole request: caller, profile or model, messages, tools, schema, and every parameter.
    pub fn of(tenant: &TenantId, request: &ModelRequest) -> Self {
        let mut digest = DigestWriter(Sha256::new());
        // The length separates the tenant's name from what follows.
        digest.0.update((tenant.as_str().len() as u64).to_le_bytes());
        digest.0.update(tenant.as_str());
        // A request consists of strings, numbers and JSON: serialization cannot fail.
        let _ = serde_json::to_writer(&mut digest, request);
        Self(digest.0.finalize().into())
    }
}

struct DigestWriter(Sha256);

impl io::Write for DigestWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
