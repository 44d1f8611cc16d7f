//! Performs permitted tool calls.
//!
//! The entry point is [`ToolRegistry`], which implements the port [`baton_ports::tools::ToolGateway`]. A call goes
//! through the stages of the check (find, enabled, parameters, class, approval, cache, circuit, rate) and results
//! in a permit. Performing the permit is one attempt under a time-out, with a redacted audit row. Retries, waiting
//! and the journal belong to the run.
//!
//! Internal tools store what they do in [`baton_ports::records`]: an act and its idempotency key's row commit in one
//! batch, so a repeated key returns the first result and never acts a second time.
//!
//! **Nothing performs without a permit.** Tools are private to this crate. Outside there is only the port, and its
//! only way to perform a call is the permit that the check returned:
//!
//! ```compile_fail,E0603
//! use baton_tools::tool::ToolHandler; // the trait with `attempt` is private
//! ```
//!
//! ```compile_fail,E0603
//! use baton_tools::permit::Permit; // so is what implements the port's permitted call
//! ```
//!
//! Performing a permit consumes it, and it cannot be copied:
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
//! [`sandbox`] runs programs that agents write, for the tool `execute_code` and for the driver of an agent's
//! programs.
//!
//! Deliberately absent: reading files, which is the app's task; waiting and deciding on retries, which are the run's.

// The entry point, and the list of shipped tools.
mod registry;
mod tool_set;

// From a call to its result: the check, the permit, the attempt.
mod audit;
mod call_state;
mod check;
mod idempotency;
mod permit;
mod rate;
mod reach_tracker;
mod request;
mod tool;
mod usage_metrics;

// The tools.
pub mod composio;
mod definition;
mod kinds;
mod mcp;
mod openapi;
mod providers;

// Agents' programs in child processes, and agents behind an HTTP endpoint.
mod agent_endpoints;
mod launch;
pub mod sandbox;

// The catalogue and the settings.
mod by_tenant;
mod catalogue;
mod config;
mod language;
mod rules;

// Errors and warnings.
pub mod code;
mod error;
mod tool_error;
mod validation_warning;

// HTTP to external services.
mod account_binding;
mod authority;
mod outbound;
mod post;
mod vendor;

// Formats and sizes.
pub mod icalendar;
mod value_size;

// Helpers for tests.
#[cfg(test)]
mod testing;

pub use agent_endpoints::{AgentEndpoints, SECRET as ENDPOINT_SECRET};
pub use baton_ports::catalogue::{DescriptionFields, ProviderOption, ToolDescription, ToolRisk};
pub use catalogue::UnavailableProvider;
pub use config::{
    ApproverPolicy, BoundSecret, IanaZone, SecretString, TenantToolsConfig, ToolPermission, ToolSettings, ToolsConfig,
    WorkflowApprovals, named_secret, secret_env_var,
};
pub use definition::{
    FIELDS as TOOL_FIELDS, HookForm, NotificationHook, OpenApiDocument, ParsedDefinitions, ToolDefinition,
};
pub use error::ToolSetupError;
pub use kinds::execute_code::CodeExecution;
pub use language::CustomerLanguage;
pub use launch::LaunchCommand;
pub use mcp::{McpSource, McpToolListing, supervisor};
pub use openapi::{ImportDiagnostic, document};
pub use post::OutboundPoster;
pub use providers::crm::identifiers_of;
pub use providers::email::SystemMailer;
pub use providers::memory::knowledge::{ExternalKnowledgeBase, IndexedChunk};
pub use rate::CallRate;
pub use registry::ToolRegistry;
pub use tool_set::ToolServices;
pub use validation_warning::ValidationWarning;

/// Formats an address for messages: without credentials, query and fragment, which may be private. `None` if it is
/// not a valid address.
pub fn display_address(address: &str) -> Option<String> {
    address.parse().ok().map(|url| outbound::display_url(&url))
}

/// Messages that were recorded and not sent.
pub mod outbox {
    pub use crate::providers::outbox::{OutboxMessage, newest};
}

/// Settings of single tools.
pub mod settings {
    pub use crate::kinds::query_database::{DatabaseConfig, DatabaseUrl};
    pub use crate::kinds::web_search::WebSearchConfig;
    pub use crate::outbound::{IpNetwork, OutboundConfig};
    pub use crate::providers::calendar::{
        CalDavConfig, CalendarConfig, CalendarProviderKind, CalendlyConfig, CalendlyEventType, EventLocation,
        GoogleCalendarConfig, OpeningDay, OpeningHours, SlotStep, TreatmentConfig,
    };
    pub use crate::providers::crm::CrmConfig;
    pub use crate::providers::email::{
        EmailConfig, EmailProvider, EmailSender, EmailTemplate, SendGridConfig, SmtpConfig, SmtpTls,
    };
    pub use crate::providers::memory::knowledge::{ChromaConfig, KnowledgeConfig, PineconeConfig};
    pub use crate::providers::message::{MessageConfig, TwilioConfig};
    pub use crate::providers::payment::{PaymentConfig, PaymentMethod, PaymentProvider, StripeConfig, StripeMethod};
    pub use crate::providers::rest::{ChangeMethod, RestConfig};
    pub use crate::providers::ticket::TicketConfig;
    pub use crate::vendor::BaseUrl;
}
