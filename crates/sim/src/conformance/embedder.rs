use baton_ports::embed::{Embedder, EmbeddingRole};

async fn vectors(embedder: &impl Embedder, texts: &[&str]) -> Vec<Vec<f32>> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    embedder.embed(&"acme".into(), &texts, EmbeddingRole::Passage).await.expect("embeds")
}

fn product(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

pub async fn each_text_has_a_vector_of_length_one(embedder: &impl Embedder) {
    let found = vectors(embedder, &["one text", "another", "one text"]).await;
    assert_eq!(found.len(), 3);
    for vector in &found {
        assert_eq!(vector.len(), embedder.space().dimensions);
        assert!((product(vector, vector) - 1.0).abs() < 1e-3, "its length is not 1");
    }
    assert_eq!(found[0], found[2]);
    assert_ne!(found[0], found[1]);
}

pub async fn nothing_in_nothing_out(embedder: &impl Embedder) {
    assert_eq!(vectors(embedder, &[]).await, [] as [Vec<f32>; 0]);
}

pub async fn the_same_text_has_the_same_vector_alone_and_among_others(embedder: &impl Embedder) {
    let alone = vectors(embedder, &["the moon pulls the sea"]).await;
    let among = vectors(embedder, &["bread", "the moon pulls the sea", "salt"]).await;
    assert!(product(&alone[0], &among[1]) > 0.999);
}

pub async fn a_text_lies_nearer_to_its_like(embedder: &impl Embedder) {
    let found = vectors(
        embedder,
        &["The moon pulls the ocean and makes the tides", "tides of the ocean", "a recipe for brown bread"],
    )
    .await;
    assert!(product(&found[0], &found[1]) > product(&found[0], &found[2]));
}

pub async fn hostile_text_has_a_vector_too(embedder: &impl Embedder) {
    let long = "word ".repeat(5_000);
    let found = vectors(embedder, &["", " \n\t", "\0\u{202e}", "🜁🜂🜃", "漢字かな交じり文", &long]).await;
    for vector in found {
        assert_eq!(vector.len(), embedder.space().dimensions);
        assert!(vector.iter().all(|value| value.is_finite()));
    }
}
