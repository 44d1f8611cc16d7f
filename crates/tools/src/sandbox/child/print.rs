//! The printed output of a program.

use std::borrow::Cow;

use monty_types::{ExcType, MontyException, PrintWriter, PrintWriterCallback};

/// Printed text, up to a limit. Beyond it the program is stopped at its next print, and the buffer records that.
pub(super) struct PrintBuffer {
    text: String,
    /// Bytes that may still be printed.
    room: usize,
    overflowed: bool,
}

impl PrintBuffer {
    pub(super) fn new(room: usize) -> Self {
        Self { text: String::new(), room, overflowed: false }
    }

    pub(super) fn writer(&mut self) -> PrintWriter<'_> {
        PrintWriter::Callback(self)
    }

    pub(super) fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Discards what was printed so far, which still counts towards the limit.
    pub(super) fn discard(&mut self) {
        self.text.clear();
    }

    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn push(&mut self, text: &str) -> Result<(), MontyException> {
        match self.room.checked_sub(text.len()) {
            Some(room) if !self.overflowed => {
                self.room = room;
                self.text.push_str(text);
                Ok(())
            }
            _ => {
                self.overflowed = true;
                Err(MontyException::new(ExcType::MemoryError, Some("it prints more than it may".to_owned())))
            }
        }
    }
}

impl PrintWriterCallback for PrintBuffer {
    fn stdout_write(&mut self, output: Cow<'_, str>) -> Result<(), MontyException> {
        self.push(&output)
    }

    fn stdout_push(&mut self, end: char) -> Result<(), MontyException> {
        self.push(end.encode_utf8(&mut [0; 4]))
    }
}
