//! `Idempotency-Key`: what was asked under one is done once, however often it is asked.

use axum::http::HeaderMap;
use baton_core::audit::hex;
use baton_core::id::RunId;
use sha2::{Digest, Sha256};

use super::guest::Guest;
use crate::problem::Problem;

const HEADER: &str = "idempotency-key";
/// Characters of a key.
const CHARS_MAX: usize = 255;

/// A name that a request, and every repetition of it, gives to what it does.
pub(super) struct Name(String);

impl Name {
    /// From the header, where the request has one.
    pub fn of(headers: &HeaderMap, guest: &Guest) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(HEADER) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        if text.is_empty() || text.len() > CHARS_MAX {
            let why = format!("it must be 1 to {CHARS_MAX} visible characters of ASCII");
            return Err(Problem::parameter("Idempotency-Key", why));
        }
        let mut hash = Sha256::new();
        for part in [guest.tenant().as_str(), text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Some(Self(hex(&hash.finalize().into()))))
    }

    /// The run that is begun under it.
    pub fn run(&self) -> RunId {
        RunId::new(format!("once-{}", self.0))
    }

    /// What is put into an inbox under it, for one kind of thing that may be asked.
    pub fn command(&self, word: &str) -> String {
        format!("once-{word}-{}", self.0)
    }
}
