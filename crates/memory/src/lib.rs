//! Remembers and recalls for agents: what was just said (short-term), what is written down (long-term), and what was
//! tried before (episodic).
//!
//! The way in is [`MemoryService`], which answers the port [`baton_ports::memory::MemoryStore`]. It keeps nothing itself: documents
//! are in the [`Index`](baton_ports::index::DocumentIndex), messages in [`Records`](baton_ports::records::RecordStore).
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
mod evaluation;
mod forget_marks;
mod fuse;
mod inquiry;
mod long_term;
mod prompt;
mod service;
mod short_term;
mod summary;
mod tokens;

pub use config::{EmbedderKey, EmbedderProvider, MemoryConfig, MemoryConfigError};
pub use embed::{BuiltinEmbedder, EndpointEmbedder};
pub use evaluation::{JudgedQuery, JudgedSet, SearchMetrics};
pub use prompt::{PROMPTS, PromptSet};
pub use service::{MemoryPorts, MemoryService};
