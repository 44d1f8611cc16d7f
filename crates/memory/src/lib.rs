//! Memory for agents: recent messages (short-term), documents (long-term), and earlier executions and conversations
//! (episodic).
//!
//! The entry point is [`MemoryService`], which implements the port [`baton_ports::memory::MemoryStore`]. It stores
//! nothing itself: documents are in the [`DocumentIndex`](baton_ports::index::DocumentIndex), messages in
//! [`RecordStore`](baton_ports::records::RecordStore).
//!
//! - A document is split at its headings and paragraphs into chunks that overlap a little. Each chunk knows its byte
//!   range in the document.
//! - A search queries by vector and by word, and fuses the two lists by reciprocal rank. If one of them is unavailable,
//!   the other is used alone, and the result reports it.
//! - A new generation is split and embedded beside the live one, and then replaces it.
//!
//! Vectors come from a server that speaks OpenAI's embeddings, or from the built-in embedder, which knows spelling but
//! no meaning.
//!
//! Deliberately absent: the decision when to remember. Tools, commands and conversations make it.

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
