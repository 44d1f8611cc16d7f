//! The doors that any client of OpenAI's can use: `/v1/chat/completions` and `/v1/models`.

pub(crate) mod chat;
mod error;
mod form;
pub(crate) mod models;
mod rate;
mod reply;
mod request;
mod stream;
mod workflow;

pub(crate) use error::Error;
