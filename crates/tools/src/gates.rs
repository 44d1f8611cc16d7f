//! What the check remembers between calls, in this process.

use std::sync::Arc;

use crate::check::{Answers, Circuits, Paces};

pub(crate) struct Gates {
    pub(crate) answers: Answers,
    pub(crate) paces: Paces,
    pub(crate) circuits: Arc<Circuits>,
}

impl Gates {
    pub(crate) fn new() -> Self {
        Self { answers: Answers::new(), paces: Paces::default(), circuits: Arc::default() }
    }
}
