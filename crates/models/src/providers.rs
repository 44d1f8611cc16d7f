//! Who serves models, one file each.

pub(crate) mod openai;
#[cfg(test)]
pub(crate) mod rehearsal;
pub(crate) mod script;
