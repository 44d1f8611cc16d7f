//! Tools that use a service, by service. `internal` is a real provider: it stores its data in this installation.

pub(crate) mod calendar;
pub(crate) mod crm;
pub(crate) mod email;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod outbox;
pub(crate) mod payment;
pub(crate) mod rest;
pub(crate) mod ticket;
