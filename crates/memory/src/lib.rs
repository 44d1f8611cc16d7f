//! Remembers and recalls for agents: what was just said (short-term), what is written down (long-term), and what was
//! tried before (episodic).
//!
//! The way in is [`Memory`], which answers the port [`baton_ports::memory::Memory`]. It keeps nothing itself: documents
//! are in the [`Index`](baton_ports::index::Index), messages in [`Records`](baton_ports::records::Records).
//!
//! - A document is cut at its headings and paragraphs into pieces that overlap a little, each of which knows the bytes of the document it is.
//! - A search asks by vector and by word, and fuses the two lists by reciprocal rank. Where one way cannot be used, the
//!   other answers alone and says so.
//! - Everything is cut and embedded anew beside what answers, and then takes its place.
//!
//! Vectors come from a server that speaks OpenAI's embeddings, or from the built-in embedder, which knows spelling and no
//! meaning.
//!
//! Deliberately absent: deciding when to remember. Tools, commands and conversations ask.

mod chunk;
mod closing;
mod config;
mod context;
mod embed;
mod episodic;
mod fuse;
mod inquiry;
mod judged;
mod long;
mod marks;
mod memory;
mod prompt;
mod short;
mod summary;
mod tokens;

pub use config::{ApiKey, Config, Provider, Wrong};
pub use embed::{Builtin, Endpoint};
pub use judged::{Judged, Measured, Query};
pub use memory::{Memory, Parts};
pub use prompt::{PROMPTS, Prompts};
