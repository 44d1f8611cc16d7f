//! Performs a permitted tool call.
//!
//! The way in is [`Registry`], which answers the port [`baton_ports::tools::Tools`]. A call goes through the stages of
//! the check (find, enabled, parameters, promise, approval, cache, circuit, rate) and comes out as a permit; performing the
//! permit is one attempt under a time-out, with a redacted audit row. Retries, waiting and the journal are the run's.
//!
//! Internal tools keep what they do in [`baton_ports::records`]: an act and its idempotency key's row commit in one
//! batch, so the same key again gives the first result and never a second act.
//!
//! **Nothing performs without a permit.** A tool is known to this room only; outside there is the port, and its only way
//! to perform is the permit that the check gave:
//!
//! ```compile_fail,E0603
//! use baton_tools::tool::Tool; // the trait with `attempt` is private
//! ```
//!
//! ```compile_fail,E0603
//! use baton_tools::permit::Permit; // so is what implements the port's permitted call
//! ```
//!
//! A permit is spent by performing it, and cannot be copied:
//!
//! ```compile_fail,E0382
//! # use std::time::Duration;
//! # use baton_ports::tools::PermittedCall;
//! async fn twice(permit: Box<dyn PermittedCall>) {
//!     permit.perform(Duration::from_secs(1)).await;
//!     permit.perform(Duration::from_secs(1)).await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use baton_ports::tools::PermittedCall;
//! fn copy(permit: &Box<dyn PermittedCall>) -> Box<dyn PermittedCall> {
//!     permit.clone()
//! }
//! ```
//!
//! [`sandbox`] runs what agents write, for the tool `execute_code` and for whoever drives an agent's programs.
//!
//! Deliberately absent: reading files, which is the app's; waiting, and deciding whether to try again, which are the
//! run's.

mod audit;
mod authority;
mod bound;
mod by_tenant;
mod catalogue;
mod check;
pub mod code;
pub mod composio;
mod config;
mod contact;
mod count;
mod definition;
mod doubt;
mod error;
mod failure;
mod gates;
pub mod icalendar;
mod keyed;
mod kinds;
mod language;
mod launch;
mod mcp;
mod openapi;
mod outbound;
mod permit;
mod post;
mod providers;
mod rate;
mod registry;
mod request;
mod rules;
pub mod sandbox;
mod shipped;
mod size;
#[cfg(test)]
mod testing;
mod thinkers;
mod tool;
mod vendor;

pub use baton_ports::catalogue::{Described, Description, Offered, Risk};
pub use catalogue::Lack;
pub use config::{
    Approvers, Bound, Config, OfWorkflow, Permission, Secret, Tenant, Tuning, Zone, named_secret, variable_of_secret,
};
pub use definition::{Definition, Document, FIELDS as TOOL_FIELDS, Hook, HookForm, Parsed};
pub use doubt::Doubt;
pub use error::Error;
pub use kinds::execute_code::Execution;
pub use language::Language;
pub use launch::Launch;
pub use mcp::{Listing, Source as McpSource, attend};
pub use openapi::{Unsupported, document};
pub use post::Poster;
pub use providers::crm::identifiers_of;
pub use providers::email::Mailer;
pub use providers::memory::knowledge::{Piece as KnowledgePiece, Pieces as KnowledgeOutside};
pub use rate::Rate;
pub use registry::Registry;
pub use shipped::Services;
pub use thinkers::{Endpoints, SECRET as ENDPOINT_SECRET};

/// An address for messages: without credentials, query and fragment, which may be private; nothing where it is none.
pub fn shown_address(address: &str) -> Option<String> {
    address.parse().ok().map(|url| outbound::shown(&url))
}

/// Messages that were written down and not sent.
pub mod outbox {
    pub use crate::providers::outbox::{Message, newest};
}

/// Settings of single tools.
pub mod settings {
    pub use crate::kinds::query_database::{Config as Database, Url as DatabaseUrl};
    pub use crate::kinds::web_search::Config as WebSearch;
    pub use crate::outbound::{Config as Outbound, Network};
    pub use crate::providers::calendar::{
        CalDav, Calendly, Config as Calendar, Day, EventType, Google, Opening, Place, Provider, Step, Treatment,
    };
    pub use crate::providers::crm::Config as Crm;
    pub use crate::providers::email::{
        Config as Email, Provider as EmailProvider, SendGridConfig as SendGrid, Sender, SmtpConfig as Smtp, Template,
        Tls,
    };
    pub use crate::providers::memory::knowledge::{
        ChromaConfig as Chroma, Config as Knowledge, PineconeConfig as Pinecone,
    };
    pub use crate::providers::message::{Config as Message, TwilioConfig as Twilio};
    pub use crate::providers::payment::{
        Config as Payment, Method, Provider as PaymentProvider, StripeConfig as Stripe, StripeMethod,
    };
    pub use crate::providers::rest::{Change, RestConfig as Rest};
    pub use crate::providers::ticket::Config as Tickets;
    pub use crate::vendor::Base;
}
