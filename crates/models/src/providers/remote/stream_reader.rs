//! Turns the bytes of a streamed reply into an answer.

use super::sse::SseDecoder;
use crate::providers::dialect::{ReplyAssembler, WireError};

pub(crate) struct StreamReader<A> {
    events: SseDecoder,
    pub assembly: A,
}

impl<A: ReplyAssembler> StreamReader<A> {
    pub fn new(assembly: A) -> Self {
        Self { events: SseDecoder::default(), assembly }
    }

    /// Takes the next bytes, or the end; at the end the reply is complete or an error.
    pub fn take(&mut self, bytes: Option<&[u8]>) -> Result<(), WireError> {
        let Some(bytes) = bytes else {
            if let Some(event) = self.events.finish()? {
                self.assembly.feed(&event)?;
            }
            return if self.assembly.is_whole() { Ok(()) } else { self.assembly.close() };
        };
        for event in self.events.feed(bytes)? {
            self.assembly.feed(&event)?;
        }
        Ok(())
    }
}
