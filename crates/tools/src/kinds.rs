//! The tools that need no provider, one file each, and the kinds that projects define.

pub(crate) mod calculator;
pub(crate) mod execute_code;
pub(crate) mod filter_list;
pub(crate) mod http;
pub(crate) mod http_request;
pub(crate) mod mcp;
pub(crate) mod operation;
pub(crate) mod query_database;
pub(crate) mod script;
pub(crate) mod transform_json;
pub(crate) mod web_search;
