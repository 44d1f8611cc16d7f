use baton_core::definition::render;

use super::*;

fn layer(text: &str) -> CatalogueLayer {
    CatalogueFile::read(text.as_bytes()).expect("a catalogue").layer
}

fn refused(text: &str) -> String {
    render(&CatalogueFile::read(text.as_bytes()).expect_err("it is refused"), "models.yaml", text)
}

fn shipped() -> ModelCatalogue {
    ModelCatalogue::shipped().expect("the shipped catalogue")
}

#[test]
fn the_seeds_prices_are_exact() {
    let catalogue = shipped();
    for (name, input, output, context, latency, quality) in [
        ("gpt-4", 0.03, 0.06, 8_192, 4_000, 10.0),
        ("gpt-4-turbo", 0.01, 0.03, 128_000, 3_000, 9.5),
        ("gpt-3.5-turbo", 0.0005, 0.0015, 16_385, 800, 7.0),
        ("claude-3-opus", 0.015, 0.075, 200_000, 3_500, 9.8),
        ("claude-3-sonnet", 0.003, 0.015, 200_000, 2_000, 8.5),
        ("claude-3-haiku", 0.00025, 0.00125, 200_000, 600, 7.5),
    ] {
        let spec = catalogue.find(name).expect(name);
        let per_1k = |usd: f64| Usd::from_f64(usd * 1_000.0);
        assert_eq!((spec.prices.input, spec.prices.output), (per_1k(input), per_1k(output)), "{name}");
        assert_eq!((spec.context_tokens, spec.latency_ms, spec.quality), (Some(context), latency, quality), "{name}");
    }
}

#[test]
fn the_seeds_profiles_are_its_own() {
    let catalogue = shipped();
    for (profile, cost, latency_ms, weights, primary) in [
        (ModelProfile::Fast, 0.01, 1_000, (0.6, 0.3, 0.1), ["gpt-3.5-turbo", "claude-3-haiku"]),
        (ModelProfile::Balanced, 0.10, 3_000, (0.33, 0.33, 0.34), ["gpt-4-turbo", "claude-3-sonnet"]),
        (ModelProfile::Powerful, 1.00, 5_000, (0.2, 0.2, 0.6), ["gpt-4", "claude-3-opus"]),
    ] {
        let rules = catalogue.rules(profile).expect("rules");
        assert_eq!((rules.max_cost, rules.max_latency.as_millis()), (Usd::from_f64(cost), latency_ms));
        let found = (rules.weights.latency, rules.weights.cost, rules.weights.quality);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(found.0, weights.0) && near(found.1, weights.1) && near(found.2, weights.2), "{found:?}");
        assert_eq!(rules.groups[0], primary);
        for model in rules.groups.iter().flatten() {
            assert!(catalogue.find(model).is_some(), "{model}");
        }
    }
}

#[test]
fn a_layer_says_only_what_differs() {
    let over = layer("models: {gpt-4: {quality: 9, upstream: gpt-4-0613}}\nprofiles: {fast: {models: gpt-4}}");
    let catalogue = ModelCatalogue::with([&over]).expect("a catalogue");
    let spec = catalogue.find("gpt-4").expect("gpt-4");
    assert_eq!((spec.quality, spec.upstream.as_deref(), spec.context_tokens), (9.0, Some("gpt-4-0613"), Some(8_192)));
    assert_eq!(spec.prices, shipped().find("gpt-4").expect("gpt-4").prices);
    let fast = catalogue.rules(ModelProfile::Fast).expect("rules");
    assert_eq!((fast.groups.clone(), fast.max_cost), (vec![vec!["gpt-4".to_owned()]], Usd::from_f64(0.01)));
}

#[test]
fn prices_may_be_written_as_the_seed_writes_them() {
    let over = layer("models: {gpt-4: {input_usd_per_1k: 0.001, output_usd_per_1k: 0.002}}");
    let catalogue = ModelCatalogue::with([&over]).expect("a catalogue");
    assert_eq!(catalogue.find("gpt-4").expect("gpt-4").prices.input, Usd::from_f64(1.0));
    let twice = refused("models:\n  a: {input_usd_per_1k: 1, input_usd_per_million: 1}\n");
    assert!(twice.contains("models.yaml:2") && twice.contains("not both"), "{twice}");
}

#[test]
fn a_price_depends_on_the_size_of_the_input() {
    let over = layer(
        "models:\n  a:\n    input_usd_per_million: 1\n    output_usd_per_million: 2\n    above:\n\
         \x20     - {tokens: 100, input_usd_per_million: 3, output_usd_per_million: 4}\n\
         \x20     - {tokens: 200, input_usd_per_million: 5, output_usd_per_million: 6}\n",
    );
    let catalogue = ModelCatalogue::with([&over]).expect("a catalogue");
    let spec = catalogue.find("a").expect("a");
    let input = |tokens| spec.prices_at(tokens).input;
    assert_eq!(
        [input(0), input(100), input(101), input(200), input(201)],
        [1.0, 1.0, 3.0, 3.0, 5.0].map(Usd::from_f64)
    );
}

#[test]
fn a_new_price_leaves_no_old_steps_behind() {
    let over = layer("models: {gpt-6-luna: {input_usd_per_million: 1, output_usd_per_million: 2}}");
    let catalogue = ModelCatalogue::with([&over]).expect("a catalogue");
    assert!(catalogue.find("gpt-6-luna").expect("luna").long_input_prices.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, says) in [
        ("models:\n  a:\n    contxt_tokens: 5\n", ["models.yaml:3:5", "did you mean `context_tokens`?"]),
        ("models:\n  a:\n    quality: high\n", ["models.yaml:3", "quality"]),
        ("models:\n  a:\n    quality: 11\n", ["models.yaml:3", "from 0 to 10"]),
        ("models:\n  a:\n    input_usd_per_million: -1\n", ["models.yaml:3", "a price is from 0"]),
        ("models:\n  a:\n    retires: soon\n", ["models.yaml:3", "retires"]),
        ("models: [a]\n", ["models.yaml:1", "is a mapping"]),
        ("profiles:\n  quick: {}\n", ["models.yaml:2", "fast, balanced, powerful"]),
        ("profiles:\n  fast: {models: [a, [b]]}\n", ["models.yaml:2", "a list of such lists"]),
        ("tenants:\n  t1:\n    model: {}\n", ["models.yaml:3", "did you mean `models`?"]),
        ("tenents: {}\n", ["models.yaml:1", "did you mean `tenants`?"]),
        ("models: {\n", ["models.yaml:", "DEF-002"]),
    ] {
        let found = refused(text);
        assert!(says.iter().all(|part| found.contains(part)), "{text}\n{found}");
    }
}

#[test]
fn a_new_model_needs_a_price_and_a_profile_needs_models() {
    let refused = |text: &str| ModelCatalogue::with([&layer(text)]).expect_err("it is refused").to_string();
    assert!(refused("models: {mine: {quality: 5}}").contains("model `mine`"));
    assert!(refused("profiles: {fast: {models: []}}").contains("profile `fast`"));
    assert!(refused("profiles: {fast: {weights: {latency: 0, cost: 0, quality: 0}}}").contains("not all zero"));
}

#[test]
fn an_entry_comes_back_as_it_was() {
    for (name, spec) in shipped().models() {
        let written = serde_json::to_value(CatalogueEntry::from(spec)).expect("writes");
        let read: CatalogueEntry = serde_json::from_value(written).expect("reads");
        assert_eq!(read.spec().as_ref(), Ok(spec), "{name}");
    }
}

#[test]
fn a_catalogue_of_nothing_is_one() {
    for text in ["", "\n", "# nothing yet\n\n  # models:\n", "{}"] {
        assert_eq!(CatalogueFile::read(text.as_bytes()), Ok(CatalogueFile::default()), "{text:?}");
    }
}

#[test]
fn a_model_without_a_price_may_be_a_known_one_misspelt() {
    let wrong = |text: &str| ModelCatalogue::with([&layer(text)]).expect_err("it has no price").to_string();
    assert!(wrong("models: {gpt-4-trubo: {quality: 3}}").ends_with("did you mean `gpt-4-turbo`?"));
    assert!(!wrong("models: {entirely-my-own: {quality: 3}}").contains("did you mean"));
}
