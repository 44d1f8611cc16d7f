//! Request and response schemas of tool sources.

use serde_json::Value;
use utoipa::ToSchema;

use crate::api::openapi;

#[derive(ToSchema)]
#[schema(as = Sources)]
pub(in crate::api) struct SourceListSchema {
    sources: Vec<SourceSchema>,
}

/// Where tools come from, and how it stands.
#[derive(ToSchema)]
#[schema(as = Source)]
pub(super) struct SourceSchema {
    name: String,
    /// `openapi` or `mcp`.
    kind: String,
    /// The project's file that defines it, whose tools are everybody's; nothing: the tenant added it for itself.
    file: Option<String>,
    /// Where it is asked, without what may be secret; nothing where nobody is asked, or a program.
    address: Option<String>,
    /// Whether it answered when it was asked last; nothing where nobody is asked.
    reachable: Option<bool>,
    asked_at: Option<String>,
    /// Why it did not answer, or its tools cannot be used.
    last_error: Option<String>,
    tool_count: u64,
    unsupported_count: u64,
}

/// The same with its tools.
#[derive(ToSchema)]
#[schema(as = SourceWhole)]
pub(in crate::api) struct SourceDetailSchema {
    name: String,
    kind: String,
    file: Option<String>,
    address: Option<String>,
    reachable: Option<bool>,
    asked_at: Option<String>,
    last_error: Option<String>,
    tool_count: u64,
    unsupported_count: u64,
    /// Names.
    tools: Vec<String>,
    /// Parts of its document or its list that no tool can use, or not fully.
    unsupported: Vec<UnsupportedPartSchema>,
    /// As it was added; a document that was sent is left out. Nothing for one of the project's files.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
}

#[derive(ToSchema)]
#[schema(as = SourcePart)]
pub(super) struct UnsupportedPartSchema {
    /// `paths./pets.post.requestBody`.
    place: String,
    reason: String,
}

/// A source to add: a name, and what a file of the project's `tools/` would say.
#[derive(ToSchema)]
#[schema(as = SourceNew)]
pub(in crate::api) struct CreateSourceRequest {
    /// 1 to 32 letters, digits, `_` and `-`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,32}$")]
    name: String,
    /// `openapi` or `mcp`.
    #[schema(schema_with = openapi::source_kind)]
    kind: String,
    /// Of `openapi`: the document, up to a megabyte of it, or its address.
    document: Option<Value>,
    /// Of `mcp`: where the server speaks streamable HTTP.
    url: Option<String>,
    /// Of `mcp`: sent with each request. What is a key is `{{ secrets.NAME }}`.
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    /// Of `openapi`: by the name of the security scheme, `{{ secrets.NAME }}`.
    #[schema(value_type = Option<Object>)]
    auth: Option<Value>,
    /// Whether the tenant vouches that its tools do what they say.
    trusted: Option<bool>,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
}

/// What stands in its place: the same without the name, which is kept.
#[derive(ToSchema)]
#[schema(as = SourceDefined)]
pub(in crate::api) struct ReplaceSourceRequest {
    #[schema(schema_with = openapi::source_kind)]
    kind: String,
    document: Option<Value>,
    url: Option<String>,
    #[schema(value_type = Option<Object>)]
    headers: Option<Value>,
    #[schema(value_type = Option<Object>)]
    auth: Option<Value>,
    trusted: Option<bool>,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
}
