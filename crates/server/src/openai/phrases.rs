//! Fallback phrases for customers, in each supported language, for workflows that have no text of their own.

/// The phrases, by occasion.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CustomerPhrases {
    tag: &'static str,
    /// The workflow hands over to a person, and does not say so itself.
    pub handover: &'static str,
    /// A person must act before the run continues.
    pub person: &'static str,
    /// The run takes longer than the request may wait.
    pub working: &'static str,
}

const ALL: [CustomerPhrases; 2] = [
    CustomerPhrases {
        tag: "en",
        handover: "A person has to help you with this. Please get in touch with us.",
        person: "A person is looking at this and will get back to you.",
        working: "This is being worked on; ask again in a while.",
    },
    CustomerPhrases {
        tag: "es",
        handover: "Con esto le tiene que ayudar una persona. Por favor, póngase en contacto con nosotros.",
        person: "Una persona lo está mirando y le responderá.",
        working: "Estamos trabajando en ello; pregunte de nuevo dentro de un rato.",
    },
];

impl CustomerPhrases {
    /// The phrases in the customer's language if it is supported, else in the tenant's. Both are IETF language
    /// tags.
    pub fn of(customer: Option<&str>, tenant: &str) -> &'static Self {
        let by = |tag: &str| {
            let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
            ALL.iter().find(|words| words.tag == primary)
        };
        customer.and_then(by).or_else(|| by(tenant)).unwrap_or(&ALL[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customers_language_comes_before_the_tenants_where_there_are_words_in_it() {
        let tag = |customer, tenant| CustomerPhrases::of(customer, tenant).tag;
        assert_eq!(tag(None, "es"), "es");
        assert_eq!(tag(Some("en-GB"), "es"), "en");
        assert_eq!(tag(Some("de"), "es"), "es");
        assert_eq!(tag(Some("ES_mx"), "en"), "es");
        assert_eq!(tag(None, "de"), "en");
    }
}
