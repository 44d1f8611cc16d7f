//! (under construction)

pub mod expr;
