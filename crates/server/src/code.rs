//! Stable codes of what this room itself says no with, documented one page each.

pub const UNAUTHORIZED: &str = "UNAUTHORIZED";
pub const FORBIDDEN: &str = "FORBIDDEN";
pub const NOT_FOUND: &str = "NOT_FOUND";
pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
pub const WORKFLOW_NOT_FOUND: &str = "WORKFLOW_NOT_FOUND";
pub const WORKFLOW_INACTIVE: &str = "WORKFLOW_INACTIVE";
pub const WORKFLOW_INVALID: &str = "WORKFLOW_INVALID";
pub const AGENT_NOT_FOUND: &str = "AGENT_NOT_FOUND";
pub const CHANGED_MEANWHILE: &str = "CHANGED_MEANWHILE";
pub const EXECUTION_NOT_FOUND: &str = "EXECUTION_NOT_FOUND";
pub const APPROVAL_NOT_FOUND: &str = "APPROVAL_NOT_FOUND";
pub const EXECUTION_EXISTS: &str = "EXECUTION_EXISTS";
pub const VERSION_UNUSABLE: &str = "VERSION_UNUSABLE";
pub const AGENT_INVALID: &str = "AGENT_INVALID";
pub const IDEMPOTENCY_KEY_REUSED: &str = "IDEMPOTENCY_KEY_REUSED";
pub const BODY_INVALID: &str = "BODY_INVALID";
pub const PARAMETER_INVALID: &str = "PARAMETER_INVALID";
pub const REQUEST_TOO_LARGE: &str = "REQUEST_TOO_LARGE";
pub const REQUEST_TIMEOUT: &str = "REQUEST_TIMEOUT";
pub const NAME_TAKEN: &str = "NAME_TAKEN";
pub const OVERLOADED: &str = "OVERLOADED";
pub const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";
pub const STOPPING: &str = "STOPPING";
pub const INTERNAL_ERROR: &str = "INTERNAL_ERROR";

/// Every code in a few words.
pub const ALL: [(&str, &str); 24] = [
    (UNAUTHORIZED, "the request brings no key that opens this door"),
    (FORBIDDEN, "the key's role may not do this"),
    (NOT_FOUND, "nothing is served at this path"),
    (METHOD_NOT_ALLOWED, "the path is not answered for this method"),
    (WORKFLOW_NOT_FOUND, "the tenant has no workflow of this name"),
    (WORKFLOW_INACTIVE, "the workflow has no active version"),
    (WORKFLOW_INVALID, "the document is no workflow that may run"),
    (AGENT_NOT_FOUND, "the tenant has no agent of this name"),
    (CHANGED_MEANWHILE, "somebody changed it since it was read"),
    (EXECUTION_NOT_FOUND, "the tenant has no run of this id"),
    (APPROVAL_NOT_FOUND, "no such request waits"),
    (EXECUTION_EXISTS, "a run of this id exists already"),
    (VERSION_UNUSABLE, "this binary cannot run the version"),
    (AGENT_INVALID, "an agent's definition cannot be used"),
    (IDEMPOTENCY_KEY_REUSED, "the Idempotency-Key was used for another request"),
    (BODY_INVALID, "the body is not what the path takes"),
    (PARAMETER_INVALID, "a parameter or a header is not what the path takes"),
    (REQUEST_TOO_LARGE, "the request is larger than it may be"),
    (REQUEST_TIMEOUT, "the body did not come in time"),
    (NAME_TAKEN, "the name is another's"),
    (OVERLOADED, "as many requests are under way as the server takes"),
    (STORE_UNAVAILABLE, "the store does not answer"),
    (STOPPING, "the server is stopping"),
    (INTERNAL_ERROR, "something failed that should not"),
];
