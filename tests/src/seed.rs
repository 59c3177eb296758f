//! Seeds of random tests: printed, so that a failure can be had again with `BUZON_TEST_SEED`.

/// The seed of this run; `name` says whose.
pub fn seed(name: &str) -> u64 {
    let given = std::env::var("BUZON_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| rand::random::<u32>().into());
    println!("{name}: BUZON_TEST_SEED={seed}");
    seed
}

/// Whether the long runs are asked for.
pub fn is_long() -> bool {
    std::env::var("BUZON_TEST_LONG").is_ok_and(|value| value == "1")
}
