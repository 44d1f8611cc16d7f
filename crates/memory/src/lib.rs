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

// The entry point.
mod service;

// The three memories.
mod episodic;
mod long_term;
mod short_term;

// What is done with them: give an agent its context, search repeatedly, summarise, close, forget.
mod closing;
mod context;
mod forget_marks;
mod inquiry;
mod summary;

// Search: chunks, vectors, the fusion of results, and its quality.
mod chunk;
mod embed;
mod evaluation;
mod fuse;
mod tokens;

// Settings and prompts.
mod config;
mod prompt;

pub use config::{EmbedderKey, EmbedderProvider, MemoryConfig, MemoryConfigError};
pub use embed::{BuiltinEmbedder, EndpointEmbedder};
pub use evaluation::{JudgedQuery, JudgedSet, SearchMetrics};
pub use prompt::{PROMPTS, PromptSet};
pub use service::{MemoryPorts, MemoryService};
