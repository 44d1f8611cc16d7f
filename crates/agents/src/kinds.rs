//! The kinds of agents, one file each.

pub(crate) mod reasoning;
pub(crate) mod simple;
