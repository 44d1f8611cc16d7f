use std::collections::BTreeSet;

use baton_ports::catalogue::{ToolCatalogue, ToolFilter, ToolListing};

use super::fixtures::tenant;

const UNKNOWN_TOOL: &str = "no.such.tool";

fn names(listed: &[ToolListing]) -> Vec<&str> {
    listed.iter().map(|listed| &*listed.tool.name).collect()
}

pub async fn every_tool_is_listed_once_in_the_order_of_its_name(catalogue: &impl ToolCatalogue) {
    let all = catalogue.all(&tenant());
    let names = names(&all);
    assert!(names.len() >= 3, "a suite about lists needs some tools: {names:?}");
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    assert!(catalogue.shipped().iter().all(|shipped| names.contains(&&**shipped)));
}

pub async fn pages_of_a_list_are_the_list(catalogue: &impl ToolCatalogue) {
    let (all, mut read, mut after) = (catalogue.all(&tenant()), Vec::new(), None::<String>);
    loop {
        let wanted = ToolFilter { after: after.as_deref(), limit: Some(2), ..ToolFilter::default() };
        let page = catalogue.list(&tenant(), &wanted);
        assert!(page.len() <= 2, "{:?}", names(&page));
        let Some(last) = page.last() else { break };
        after = Some(last.tool.name.to_string());
        read.extend(page);
    }
    assert_eq!(names(&read), names(&all));
}

pub async fn a_list_keeps_to_its_category(catalogue: &impl ToolCatalogue) {
    let all = catalogue.all(&tenant());
    let categories: BTreeSet<&str> = all.iter().map(|listed| &*listed.tool.category).collect();
    let mut listed = 0;
    for category in categories {
        let of_it = catalogue.list(&tenant(), &ToolFilter { category: Some(category), ..ToolFilter::default() });
        assert!(of_it.iter().all(|listed| listed.tool.category == category), "{category}: {:?}", names(&of_it));
        listed += of_it.len();
    }
    assert_eq!(listed, all.len());
    assert_eq!(catalogue.list(&tenant(), &ToolFilter { category: Some(UNKNOWN_TOOL), ..ToolFilter::default() }), []);
}

pub async fn words_are_looked_for_in_names_and_descriptions_in_whatever_case(catalogue: &impl ToolCatalogue) {
    let all = catalogue.all(&tenant());
    for listed in &all {
        for words in [listed.tool.name.to_uppercase(), listed.tool.facts.description.to_lowercase()] {
            let found = catalogue.list(&tenant(), &ToolFilter::with_words(&words));
            assert!(names(&found).contains(&&*listed.tool.name), "`{words}` finds {:?}", names(&found));
        }
        for alias in &listed.aliases {
            assert!(
                names(&catalogue.list(&tenant(), &ToolFilter::with_words(alias))).contains(&&*listed.tool.name),
                "{alias}"
            );
        }
    }
    assert_eq!(catalogue.list(&tenant(), &ToolFilter::with_words("qqxzqq")), []);
}

pub async fn a_tool_is_described_by_any_of_its_names(catalogue: &impl ToolCatalogue) {
    for listed in catalogue.all(&tenant()) {
        let described = catalogue.describe(&tenant(), &listed.tool.name);
        assert_eq!(described.as_ref(), Some(&listed.tool));
        for alias in &listed.aliases {
            let same = catalogue.describe(&tenant(), alias).map(|tool| tool.name.clone());
            assert_eq!(same.as_deref(), Some(&*listed.tool.name), "{alias}");
        }
    }
    assert_eq!(catalogue.describe(&tenant(), UNKNOWN_TOOL), None);
}

pub async fn every_name_leads_to_a_tool_that_its_uses_are_counted_under(catalogue: &impl ToolCatalogue) {
    for listed in catalogue.all(&tenant()) {
        for name in listed.aliases.iter().copied().chain([&*listed.tool.name]) {
            let base = catalogue.base_tool(name).expect("leads somewhere");
            assert_eq!(catalogue.base_tool(&base).as_deref(), Some(&*base), "`{name}` leads to `{base}`");
        }
    }
    assert_eq!(catalogue.base_tool(UNKNOWN_TOOL), None);
}

pub async fn nobody_may_call_what_is_not_there(catalogue: &impl ToolCatalogue) {
    assert!(!catalogue.is_enabled(&tenant(), UNKNOWN_TOOL));
    let all = catalogue.all(&tenant());
    assert!(all.iter().any(|listed| catalogue.is_enabled(&tenant(), &listed.tool.name)));
}

pub async fn a_search_finds_a_tool_by_its_name_once_and_no_more_than_was_asked_for(catalogue: &impl ToolCatalogue) {
    for listed in catalogue.all(&tenant()) {
        let (found, why) = catalogue.search(&tenant(), &listed.tool.name.replace(['_', '.'], " "), 10).await;
        let found: Vec<&str> = found.iter().map(|tool| &*tool.name).collect();
        assert!(found.contains(&&*listed.tool.name), "`{}` finds {found:?} ({why:?})", listed.tool.name);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "{found:?}");
        assert!(found.len() <= 10, "{found:?}");
        let (one, _) = catalogue.search(&tenant(), &listed.tool.name.replace(['_', '.'], " "), 1).await;
        assert_eq!(one.len(), 1);
    }
    let (none, _) = catalogue.search(&tenant(), "", 0).await;
    assert_eq!(none, []);
}
