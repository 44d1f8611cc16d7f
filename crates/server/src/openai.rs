//! The OpenAI-compatible endpoints: `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` and `/v1/models`.

mod admission;
mod answered_turn;
pub(crate) mod chat;
pub(crate) mod embeddings;
mod error;
pub(crate) mod models;
mod phrases;
mod rate;
mod reply;
mod reply_format;
mod request;
pub(crate) mod responses;
mod stream;
mod workflow;

pub(crate) use error::OpenAiError;
