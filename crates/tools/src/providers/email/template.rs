//! E-mail templates: Jinja for the subject, the text and the HTML, in any number of languages.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_expr::{JinjaTemplate, JsonContext};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::code;
use crate::config::ToolsConfig;
use crate::error::ToolSetupError;
use crate::kinds::http::expression_error;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The language key of a part that is the same for all languages.
const ANY: &str = "";

/// A template as written: each part is a text, or texts by language (`en`, `es`, …).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailTemplate {
    subject: TemplatePart,
    #[serde(default)]
    body: Option<TemplatePart>,
    /// Values of variables are escaped.
    #[serde(default)]
    html: Option<TemplatePart>,
}

#[derive(Clone, Debug)]
struct TemplatePart(BTreeMap<String, JinjaTemplate>);

/// All templates, with those of single tenants.
#[derive(Debug)]
pub(super) struct EmailTemplates {
    shared: BTreeMap<String, EmailTemplate>,
    own: BTreeMap<TenantId, BTreeMap<String, EmailTemplate>>,
}

/// A rendered template.
#[derive(Debug, Default)]
pub(super) struct RenderedEmail {
    pub(super) subject: Option<String>,
    pub(super) body: Option<String>,
    pub(super) html: Option<String>,
}

impl EmailTemplates {
    pub(super) fn read(config: &ToolsConfig) -> Result<Self, ToolSetupError> {
        let own: BTreeMap<_, _> =
            config.tenants.iter().map(|(id, tenant)| (id.clone(), tenant.templates.clone())).collect();
        for (name, template) in own.values().chain([&config.templates]).flatten() {
            if template.body.is_none() && template.html.is_none() {
                let reason = format!("`{name}` has neither `body` nor `html`");
                return Err(ToolSetupError::Setting { place: "templates", reason });
            }
        }
        Ok(Self { shared: config.templates.clone(), own })
    }

    /// The names of all templates, of every tenant.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.own.values().chain([&self.shared]).flat_map(|all| all.keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn render(&self, name: &str, request: &PreparedRequest) -> Result<RenderedEmail, ToolError> {
        let own = self.own.get(&request.call.tenant).and_then(|own| own.get(name));
        let template = own.or_else(|| self.shared.get(name)).ok_or_else(|| {
            let message = format!("`template`: there is no template `{name}` for the tenant `{}`", request.call.tenant);
            ToolError::permanent(code::INVALID_PARAMETERS, message)
        })?;
        let variables = match request.argument("variables") {
            Value::Null => Value::Object(Map::new()),
            variables => variables.clone(),
        };
        let part = |what: &str, part: Option<&TemplatePart>, variables: &Value| {
            let Some(text) = part.and_then(|part| part.in_language(request)) else { return Ok(None) };
            let names = JsonContext::new(variables, request.call.at.to_timestamp()).in_zone(request.zone());
            let rendered = text.render(&names);
            rendered.map(Some).map_err(|error| expression_error(&format!("template {name}.{what}"), &error))
        };
        Ok(RenderedEmail {
            subject: part("subject", Some(&template.subject), &variables)?.map(|subject| subject.trim().to_owned()),
            body: part("body", template.body.as_ref(), &variables)?,
            html: part("html", template.html.as_ref(), &escaped(&variables))?,
        })
    }
}

impl TemplatePart {
    /// Returns the text in the customer's language, else in the tenant's, else in the first available one.
    fn in_language(&self, request: &PreparedRequest) -> Option<&JinjaTemplate> {
        let customer = request.call.caller.language.as_deref().and_then(|tag| tag.split(['-', '_']).next());
        let customer = customer.map(str::to_ascii_lowercase);
        let wanted = [customer.as_deref().unwrap_or(ANY), request.language.tag(), ANY];
        wanted.iter().find_map(|tag| self.0.get(*tag)).or_else(|| self.0.values().next())
    }
}

impl<'de> Deserialize<'de> for TemplatePart {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text, or texts by language")]
        enum TemplatePartForm {
            One(String),
            Many(BTreeMap<String, String>),
        }
        let texts = match TemplatePartForm::deserialize(from)? {
            TemplatePartForm::One(text) => BTreeMap::from([(ANY.to_owned(), text)]),
            TemplatePartForm::Many(texts) => texts,
        };
        let compiled = texts.into_iter().map(|(tag, text)| match JinjaTemplate::parse(&text) {
            Ok(template) => Ok((tag, template)),
            Err(error) => Err(serde::de::Error::custom(format!("the template cannot be read: {error}"))),
        });
        compiled.collect::<Result<BTreeMap<_, _>, D::Error>>().map(Self)
    }
}

/// Escapes every text in a value for HTML, so that customer input cannot become a link or a script.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut safe = String::with_capacity(text.len());
            for c in text.chars() {
                match c {
                    '&' => safe.push_str("&amp;"),
                    '<' => safe.push_str("&lt;"),
                    '>' => safe.push_str("&gt;"),
                    '"' => safe.push_str("&quot;"),
                    '\'' => safe.push_str("&#39;"),
                    c => safe.push(c),
                }
            }
            Value::String(safe)
        }
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), escaped(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests;
