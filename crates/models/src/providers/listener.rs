//! Whoever hears a reply part by part.

use std::time::Duration;

use baton_core::run::ModelFault;
use baton_ports::models::{Piece, Pieces};

use super::names::Names;
use crate::fault::{code, lasting, transient};

pub(super) struct Listener<'a> {
    /// `None` once nobody listens any more.
    pieces: Option<&'a Pieces>,
    names: &'a Names,
    told: bool,
    waits: bool,
}

impl<'a> Listener<'a> {
    pub fn new(pieces: Option<&'a Pieces>, names: &'a Names) -> Self {
        Self { pieces, names, told: false, waits: false }
    }

    pub fn listens(&self) -> bool {
        self.pieces.is_some()
    }

    /// Tells these in turn; the provider is not read on before they are taken. The call goes on without a listener
    /// that has gone: its reply still counts.
    pub async fn tell(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            let Some(sender) = self.pieces else { return };
            self.waits = true;
            match sender.send(self.names.piece(piece)).await {
                Ok(()) => self.told = true,
                Err(_) => self.pieces = None,
            }
            self.waits = false;
        }
    }

    /// Whether anything was heard.
    pub fn has_heard(&self) -> bool {
        self.told
    }

    /// Why a reply was not whole in time: its listener's fault, or its provider's.
    pub fn late(&self, who: &str, limit: Duration) -> ModelFault {
        let limit = limit.as_millis();
        if self.waits {
            let what = format!("{who}: whoever listens did not take the reply within {limit} ms");
            return lasting(code::LISTENER_STALLED, what);
        }
        transient(code::TIMEOUT, format!("{who}: no whole reply within {limit} ms"))
    }
}
