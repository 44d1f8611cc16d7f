//! The stable error codes of this crate. Each is documented on its own page.

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
pub const CONVERSATION_NOT_FOUND: &str = "CONVERSATION_NOT_FOUND";
pub const APPROVAL_NOT_FOUND: &str = "APPROVAL_NOT_FOUND";
pub const TOOL_UNCALLABLE: &str = "TOOL_UNCALLABLE";
pub const COMPOSIO_REFUSED: &str = "COMPOSIO_REFUSED";
pub const COMPOSIO_UNAVAILABLE: &str = "COMPOSIO_UNAVAILABLE";
pub const CONNECTION_NOT_FOUND: &str = "CONNECTION_NOT_FOUND";
pub const DOCUMENT_NOT_FOUND: &str = "DOCUMENT_NOT_FOUND";
pub const DOCUMENT_IS_ABOUT: &str = "DOCUMENT_IS_ABOUT";
pub const KNOWLEDGE_REFUSED: &str = "KNOWLEDGE_REFUSED";
pub const KNOWLEDGE_UNAVAILABLE: &str = "KNOWLEDGE_UNAVAILABLE";
pub const KEY_NOT_FOUND: &str = "KEY_NOT_FOUND";
pub const KEY_ENDED: &str = "KEY_ENDED";
pub const TENANT_NOT_FOUND: &str = "TENANT_NOT_FOUND";
pub const TENANT_DISABLED: &str = "TENANT_DISABLED";
pub const TENANT_OWN: &str = "TENANT_OWN";
pub const MODEL_NOT_FOUND: &str = "MODEL_NOT_FOUND";
pub const AUDIT_ROW_NOT_FOUND: &str = "AUDIT_ROW_NOT_FOUND";
pub const SOURCE_NOT_FOUND: &str = "SOURCE_NOT_FOUND";
pub const SOURCE_OF_FILE: &str = "SOURCE_OF_FILE";
pub const SOURCE_REFUSED: &str = "SOURCE_REFUSED";
pub const SOURCE_UNAVAILABLE: &str = "SOURCE_UNAVAILABLE";
pub const TRIGGER_NOT_FOUND: &str = "TRIGGER_NOT_FOUND";
pub const EXECUTION_EXISTS: &str = "EXECUTION_EXISTS";
pub const VERSION_UNUSABLE: &str = "VERSION_UNUSABLE";
pub const AGENT_INVALID: &str = "AGENT_INVALID";
pub const IDEMPOTENCY_KEY_REUSED: &str = "IDEMPOTENCY_KEY_REUSED";
pub const IDEMPOTENCY_UNANSWERED: &str = "IDEMPOTENCY_UNANSWERED";
pub const SCOPE_MISSING: &str = "SCOPE_MISSING";
pub const ERASED: &str = "ERASED";
pub const CUSTOMER_HAS_LIVE_RUNS: &str = "CUSTOMER_HAS_LIVE_RUNS";
pub const BODY_INVALID: &str = "BODY_INVALID";
pub const PARAMETER_INVALID: &str = "PARAMETER_INVALID";
pub const REQUEST_TOO_LARGE: &str = "REQUEST_TOO_LARGE";
pub const REQUEST_TIMEOUT: &str = "REQUEST_TIMEOUT";
pub const NAME_TAKEN: &str = "NAME_TAKEN";
pub const LINK_NO_CHANNEL: &str = "LINK_NO_CHANNEL";
pub const LINK_NOT_DELIVERED: &str = "LINK_NOT_DELIVERED";
pub const LINK_PERSON_CHANGED: &str = "LINK_PERSON_CHANGED";
pub const RULE_LOOSENED: &str = "RULE_LOOSENED";
pub const LIMIT_REACHED: &str = "LIMIT_REACHED";
pub const SIGNATURE_INVALID: &str = "SIGNATURE_INVALID";
pub const OVERLOADED: &str = "OVERLOADED";
pub const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";
pub use baton_ports::health::{STORE_DAMAGED, STORE_MOVED};
pub const JOURNAL_UNREADABLE: &str = "JOURNAL_UNREADABLE";
pub const STOPPING: &str = "STOPPING";
pub const INTERNAL_ERROR: &str = "INTERNAL_ERROR";

/// All codes, each with a short description.
pub const ALL: [(&str, &str); 58] = [
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
    (CONVERSATION_NOT_FOUND, "there is no such conversation"),
    (APPROVAL_NOT_FOUND, "no such request waits"),
    (TOOL_UNCALLABLE, "the tool cannot be called by itself"),
    (COMPOSIO_REFUSED, "the settings or the request do not allow it with Composio"),
    (COMPOSIO_UNAVAILABLE, "Composio could not be asked, or answered with an error"),
    (CONNECTION_NOT_FOUND, "no such account is connected"),
    (DOCUMENT_NOT_FOUND, "the tenant knows no document of this name"),
    (DOCUMENT_IS_ABOUT, "the document would become somebody else's, or everybody's"),
    (KNOWLEDGE_REFUSED, "memory cannot take this as it is"),
    (KNOWLEDGE_UNAVAILABLE, "memory or the index outside cannot be asked now"),
    (KEY_NOT_FOUND, "the tenant has no key of this id"),
    (KEY_ENDED, "the key is not good any more"),
    (TENANT_NOT_FOUND, "no tenant of this id was made"),
    (TENANT_DISABLED, "the tenant is disabled, and nobody of it comes in"),
    (TENANT_OWN, "the server's own tenant is not disabled over HTTP"),
    (MODEL_NOT_FOUND, "no model or profile has this name"),
    (AUDIT_ROW_NOT_FOUND, "the audit trail has no row of this number"),
    (SOURCE_NOT_FOUND, "tools come from no source of this name"),
    (SOURCE_OF_FILE, "the source is defined by the project's files, and changed there"),
    (SOURCE_REFUSED, "a source of tools cannot be as it is said"),
    (SOURCE_UNAVAILABLE, "a source of tools does not answer"),
    (TRIGGER_NOT_FOUND, "the tenant has no schedule, webhook or subscription of this name"),
    (EXECUTION_EXISTS, "a run of this id exists already"),
    (VERSION_UNUSABLE, "this binary cannot run the version"),
    (AGENT_INVALID, "an agent's definition cannot be used"),
    (IDEMPOTENCY_KEY_REUSED, "the Idempotency-Key was used for another request"),
    (IDEMPOTENCY_UNANSWERED, "what came under the Idempotency-Key first was not answered, or not yet"),
    (SCOPE_MISSING, "the key's scopes do not let it do this"),
    (ERASED, "what the execution or conversation held was deleted for good"),
    (CUSTOMER_HAS_LIVE_RUNS, "the customer has executions or conversations that have not ended"),
    (BODY_INVALID, "the body is not what the path takes"),
    (PARAMETER_INVALID, "a parameter or a header is not what the path takes"),
    (REQUEST_TOO_LARGE, "the request is larger than it may be"),
    (REQUEST_TIMEOUT, "the body did not come in time"),
    (NAME_TAKEN, "the name is another's"),
    (LINK_NO_CHANNEL, "a decision link cannot be delivered to this person"),
    (LINK_NOT_DELIVERED, "the mail provider did not take a decision link"),
    (LINK_PERSON_CHANGED, "a decision link's person was registered anew, or is reached elsewhere now"),
    (RULE_LOOSENED, "a higher role set this rule, and only such a role loosens it"),
    (LIMIT_REACHED, "the tenant has as many of these as it may"),
    (SIGNATURE_INVALID, "the request of another service is not signed as it must be"),
    (OVERLOADED, "as many requests are under way as the server takes"),
    (STORE_UNAVAILABLE, "the store does not answer"),
    (STORE_DAMAGED, "the database is damaged, and nothing more is acknowledged"),
    (STORE_MOVED, "the database's files were taken away, and nothing more is acknowledged"),
    (JOURNAL_UNREADABLE, "what the journal holds of a run cannot be read back"),
    (STOPPING, "the server is stopping"),
    (INTERNAL_ERROR, "something failed that should not"),
];
