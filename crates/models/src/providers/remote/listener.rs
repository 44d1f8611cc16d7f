//! Whoever hears a reply part by part.

use baton_ports::models::{Piece, Pieces};

use crate::providers::names::Names;

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

    /// Whether a piece was not taken when the time was up.
    pub fn is_stalled(&self) -> bool {
        self.waits
    }
}
