//! A streamed reply on its way from bytes to an answer.

use super::events::Events;
use crate::providers::dialect::{Assembly, Problem};

pub(crate) struct Reading<A> {
    events: Events,
    pub assembly: A,
}

impl<A: Assembly> Reading<A> {
    pub fn new(assembly: A) -> Self {
        Self { events: Events::default(), assembly }
    }

    /// Takes the next bytes, or the end: then the reply is whole or an error.
    pub fn take(&mut self, bytes: Option<&[u8]>) -> Result<(), Problem> {
        let Some(bytes) = bytes else {
            if let Some(event) = self.events.rest()? {
                self.assembly.take(&event)?;
            }
            return if self.assembly.is_whole() { Ok(()) } else { self.assembly.close() };
        };
        for event in self.events.feed(bytes)? {
            self.assembly.take(&event)?;
        }
        Ok(())
    }
}
