//! The HTTP API of a service outside, as a provider calls it: one base address, one account, and errors sorted by what
//! they say of the world.
//!
//! ```text
//! vendor.post(&["v1", "refunds"]).auth(Auth::Bearer(&key)).form(&fields).send(class).await?
//! ```
//!
//! The base address comes from the settings, so it is trusted wherever it leads: to a proxy, to a test. Nothing else is:
//! a redirect to another host is refused, for what is sent would tell that host the account's secrets.

mod ask;
mod base;
mod complaint;

use std::sync::Arc;

use reqwest::Method;

use crate::outbound::{Answer, Outbound};

pub(crate) use ask::{Ask, Auth};
pub use base::Base;
pub(crate) use complaint::{Complaint, Meaning, clipped};

/// One vendor at one address.
pub(crate) struct Vendor {
    /// As results and circuits know it: `twilio`, `google_calendar`.
    name: &'static str,
    base: Base,
    outbound: Arc<Outbound>,
    /// Reads the vendor's own form of errors; `None` where the answer is not in it.
    complaint: fn(&Answer) -> Option<Complaint>,
}

impl Vendor {
    pub(crate) fn new(
        name: &'static str,
        base: Base,
        outbound: Arc<Outbound>,
        complaint: fn(&Answer) -> Option<Complaint>,
    ) -> Self {
        Self { name, base, outbound, complaint }
    }

    /// For `provider` in results, and for [`crate::tool::Tool::service`].
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn get(&self, path: &[&str]) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &[&str]) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    /// A request to a path below the base. Each part is one segment, encoded; none may be empty or lead upwards.
    pub(crate) fn ask(&self, method: Method, path: &[&str]) -> Ask<'_> {
        Ask::new(self, method, self.base.below(path))
    }

    /// A request to an address that the vendor itself gave, whole or as a path: it must be on the base's own host.
    pub(crate) fn ask_at(&self, method: Method, href: &str) -> Ask<'_> {
        Ask::new(self, method, self.base.at(href))
    }
}

#[cfg(test)]
mod tests;
