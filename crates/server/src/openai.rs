//! The doors that any client of OpenAI's can use: `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings` and `/v1/models`.

pub(crate) mod chat;
pub(crate) mod embeddings;
mod error;
mod form;
mod intake;
pub(crate) mod models;
mod once;
mod rate;
mod reply;
mod request;
pub(crate) mod responses;
mod stream;
mod words;
mod workflow;

pub(crate) use error::Error;
