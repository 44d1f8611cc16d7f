use super::*;

const WIDE: &str = "sample_id,prompt,eval_name,small,small|model_response,small|total_cost,large,large|total_cost,oracle_model_to_route_to\n\
    1,easy,x,1,yes,0.001,1.0,0.02,small\n\
    2,\"hard, very\",x,0.0,no,0.001,1.0,0.02,large\n\
    3,odd,x,True,,0.001,False,0.02,small\n\
    4,lost,x,0,,0.001,0,0.02,no_model_correct\n";

fn table(text: &str, format: OutcomeFormat) -> OutcomeTable {
    read(text.as_bytes(), format).expect("a table")
}

fn config(settings: serde_json::Value) -> ModelsConfig {
    serde_json::from_value(settings).expect("settings")
}

fn of(table: &OutcomeTable, settings: serde_json::Value) -> RouterEvaluation {
    evaluate(table, &config(settings), &profile::ALL, Time::EPOCH).expect("an evaluation")
}

#[test]
fn routerbench_is_read_and_judged() {
    let evaluation = of(&table(WIDE, OutcomeFormat::Csv), serde_json::json!({}));
    assert_eq!((evaluation.prompts, evaluation.best_single.as_str()), (4, "small"), "the cheaper of equals");
    let mean = |name: &str| evaluation.models.iter().find(|single| single.model == name).expect("a model").mean;
    assert_eq!(mean("small"), MeanOutcome { quality: 0.5, cost_usd: 0.004 });
    assert_eq!(mean("large"), MeanOutcome { quality: 0.5, cost_usd: 0.08 });
    assert_eq!(evaluation.oracle, MeanOutcome { quality: 0.75, cost_usd: 0.023 });
    let fast = &evaluation.profiles[0];
    assert!(fast.all_were_candidates && evaluation.models.iter().all(|single| single.facts_from_table));
    assert_eq!(fast.chosen, BTreeMap::from([("small".to_owned(), 4)]), "equally good, and cheaper");
    assert!((fast.of_oracle_quality - 0.5 / 0.75).abs() < 1e-9);
    assert!((fast.of_best_single_cost - 1.0).abs() < 1e-9);
}

#[test]
fn all_forms_of_one_table_come_to_the_same() {
    let long = "prompt,model,score,cost\neasy,small,1,0.001\neasy,large,1,0.02\n\"hard, very\",small,0,0.001\n\
        \"hard, very\",large,1,0.02\nodd,small,1,0.001\nodd,large,0,0.02\nlost,small,0,0.001\nlost,large,0,0.02\n";
    let lines: String = long
        .lines()
        .skip(1)
        .map(|line| {
            let mut parts = line.rsplitn(4, ',');
            let (cost, score, model) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let prompt = parts.next().unwrap().trim_matches('"');
            format!("{{\"prompt\":\"{prompt}\",\"model\":\"{model}\",\"performance\":{score},\"total_cost\":{cost}}}\n")
        })
        .collect();
    let wide_lines =
        "{\"prompt\":\"easy\",\"small\":1,\"small|total_cost\":0.001,\"large\":true,\"large|total_cost\":0.02}\n";
    let expect = table(WIDE, OutcomeFormat::Csv);
    assert_eq!(table(long, OutcomeFormat::Csv), expect);
    assert_eq!(table(&lines, OutcomeFormat::Jsonl), expect);
    let first = table(wide_lines, OutcomeFormat::Jsonl);
    assert_eq!(first.rows[0].outcomes().count(), 2);
}

#[test]
fn a_profile_is_judged_by_its_own_models_where_the_table_has_them() {
    let text = "prompt,model,score,cost\na,gpt-3.5-turbo,0.4,0.001\na,gpt-4,0.9,0.05\na,other,1,9\nb,gpt-4,0.9,0.05\n";
    let evaluation = of(&table(text, OutcomeFormat::Csv), serde_json::json!({}));
    let chosen = |place: usize| evaluation.profiles[place].chosen.clone();
    assert_eq!(chosen(0), BTreeMap::from([("gpt-3.5-turbo".to_owned(), 1)]));
    assert_eq!(evaluation.profiles[0].unanswered, 1, "the table has no outcome of the profile's models for `b`");
    assert_eq!(chosen(2), BTreeMap::from([("gpt-4".to_owned(), 2)]));
    assert_eq!(evaluation.best_single, "gpt-4", "the others have not answered everything");
    let facts: Vec<bool> = evaluation.models.iter().map(|single| single.facts_from_table).collect();
    assert_eq!(facts, [false, false, true]);
}

#[test]
fn the_settings_profiles_are_the_ones_that_are_judged() {
    let wide = table(WIDE, OutcomeFormat::Csv);
    let evaluation = of(&wide, serde_json::json!({"models": {"powerful": "large"}}));
    assert_eq!(evaluation.profiles[2].chosen, BTreeMap::from([("large".to_owned(), 4)]));
    assert!(!evaluation.profiles[2].all_were_candidates);
}

#[test]
fn what_is_wrong_in_a_table_is_said_with_its_line() {
    let refused = |text: &str, format| read(text.as_bytes(), format).expect_err("it is refused");
    assert!(
        refused("prompt,model,score,cost\na,b,high,1\n", OutcomeFormat::Csv)
            .contains("line 2: `score` is no number: `high`")
    );
    assert!(refused("prompt,model,score\na,b,1\n", OutcomeFormat::Csv).contains("line 2: it has no `cost`"));
    assert!(refused("model,score,cost\nb,1,1\n", OutcomeFormat::Csv).contains("no `prompt`"));
    assert!(refused("prompt,model,score,cost\na,b,1\n", OutcomeFormat::Csv).contains("3 fields under a head of 4"));
    assert!(refused("{\"prompt\": 1}\nnonsense\n", OutcomeFormat::Jsonl).contains("line 1: it has no `model`"));
    assert!(refused("[1]\n", OutcomeFormat::Jsonl).contains("line 1: it is no JSON object"));
    assert_eq!(refused("", OutcomeFormat::Csv), "it has no outcome");
}
