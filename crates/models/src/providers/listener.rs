//! The listener of a streamed reply.

use std::time::Duration;

use baton_core::run::ModelCallError;
use baton_ports::models::{DeltaSender, ReplyDelta};

use super::tool_names::WireToolNames;
use crate::fault::{code, lasting, transient};

pub(super) struct PieceListener<'a> {
    /// `None` once the listener has gone.
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

    /// Sends these in order; the provider's stream is not read further until they are taken. The call continues if the
    /// listener has gone: its reply still counts.
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

    /// Whether any delta was received.
    pub fn has_received(&self) -> bool {
        self.has_sent
    }

    /// The error of a reply that was not complete in time: caused by its listener or by its provider.
    pub fn timeout_fault(&self, who: &str, limit: Duration) -> ModelCallError {
        let limit = limit.as_millis();
        if self.waits {
            let what = format!("{who}: whoever listens did not take the reply within {limit} ms");
            return lasting(code::LISTENER_STALLED, what);
        }
        transient(code::TIMEOUT, format!("{who}: no whole reply within {limit} ms"))
    }
}
