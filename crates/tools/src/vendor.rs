//! A provider's client for the HTTP API of an external service: one base address, one account, and errors sorted by
//! what they say about the outcome.
//!
//! ```text
//! vendor.post(&["v1", "refunds"]).auth(VendorAuth::Bearer(&key)).form(&fields).send(class).await?
//! ```
//!
//! The base address comes from the settings, so it is trusted, even if it is a proxy or a test server. Nothing else
//! is trusted: a redirect to another host is refused, because the request would send the account's secrets to that
//! host.

mod base_url;
mod error;
mod request;

use std::sync::Arc;

use reqwest::Method;

use crate::outbound::{OutboundClient, OutboundResponse};

pub use base_url::BaseUrl;
pub(crate) use error::{VendorError, VendorErrorMeaning, clipped};
pub(crate) use request::{VendorAuth, VendorRequest};

/// One vendor at one address.
pub(crate) struct VendorApi {
    /// The name in results and circuits: `twilio`, `google_calendar`.
    name: &'static str,
    base: BaseUrl,
    outbound: Arc<OutboundClient>,
    /// Parses the vendor's own error format; `None` if the response does not have it.
    error_parser: fn(&OutboundResponse) -> Option<VendorError>,
}

impl VendorApi {
    pub(crate) fn new(
        name: &'static str,
        base: BaseUrl,
        outbound: Arc<OutboundClient>,
        complaint: fn(&OutboundResponse) -> Option<VendorError>,
    ) -> Self {
        Self { name, base, outbound, error_parser: complaint }
    }

    /// For `provider` in results, and for [`crate::tool::ToolHandler::service`].
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn get(&self, path: &[&str]) -> VendorRequest<'_> {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &[&str]) -> VendorRequest<'_> {
        self.request(Method::POST, path)
    }

    /// Builds a request to a path below the base. Each part is one encoded segment; none may be empty or lead
    /// upwards.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> VendorRequest<'_> {
        VendorRequest::new(self, method, self.base.join(path))
    }

    /// Builds a request to an address that the vendor itself returned, absolute or as a path: it must be on the
    /// base's own host.
    pub(crate) fn request_at(&self, method: Method, href: &str) -> VendorRequest<'_> {
        VendorRequest::new(self, method, self.base.at(href))
    }
}

#[cfg(test)]
mod tests;
