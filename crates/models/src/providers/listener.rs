//! Whoever hears a reply part by part.

use std::time::Duration;

use baton_core::run::ModelCallError;
use baton_ports::models::{DeltaSender, ReplyDelta};

use super::tool_names::WireToolNames;
use crate::fault::{code, lasting, transient};

pub(super) struct PieceListener<'a> {
    /// `None` once nobody listens any more.
    pieces: Option<&'a DeltaSender>,
    names: &'a WireToolNames,
    has_sent: bool,
    waits: bool,
}

impl<'a> PieceListener<'a> {
    pub fn new(pieces: Option<&'a DeltaSender>, names: &'a WireToolNames) -> Self {
        Self { pieces, names, has_sent: false, waits: false }
    }

    pub fn is_active(&self) -> bool {
        self.pieces.is_some()
    }

    /// Tells these in turn; the provider is not read on before they are taken. The call goes on without a listener
    /// that has gone: its reply still counts.
    pub async fn send(&mut self, pieces: Vec<ReplyDelta>) {
        for piece in pieces {
            let Some(sender) = self.pieces else { return };
            self.waits = true;
            match sender.send(self.names.restore_piece(piece)).await {
                Ok(()) => self.has_sent = true,
                Err(_) => self.pieces = None,
            }
            self.waits = false;
        }
    }

    /// Whether anything was heard.
    pub fn has_received(&self) -> bool {
        self.has_sent
    }

    /// Why a reply was not whole in time: its listener's fault, or its provider's.
    pub fn timeout_fault(&self, who: &str, limit: Duration) -> ModelCallError {
        let limit = limit.as_millis();
        if self.waits {
            let what = format!("{who}: whoever listens did not take the reply within {limit} ms");
            return lasting(code::LISTENER_STALLED, what);
        }
        transient(code::TIMEOUT, format!("{who}: no whole reply within {limit} ms"))
    }
}
