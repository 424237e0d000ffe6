//! A thousand seeds against a world that fails: nothing lost, nothing ahead of itself.

use tidegate_tests::simulation::{Faults, Outcome, run};

fn assert_right(seed: u64, outcome: &Outcome) {
    let from = outcome.log.len().saturating_sub(60);
    assert!(
        outcome.violations.is_empty(),
        "seed {seed}: {:#?}\nthe log ends so:\n{}",
        outcome.violations,
        outcome.log[from..].join("\n")
    );
}

/// Half of the runs have one, the others two or three that share the source.
fn pipelines(seed: u64) -> usize {
    [1, 2, 1, 3][seed as usize % 4]
}

#[test]
fn without_faults_every_message_is_written_once() {
    for seed in 0..50 {
        let outcome = run(seed, Faults { pipelines: pipelines(seed), ..Faults::NONE });
        assert_right(seed, &outcome);
        assert_eq!((outcome.lives, outcome.abandoned), (1, 0));
    }
}

#[test]
fn a_thousand_seeds_with_all_faults_lose_nothing() {
    let seeds = 1000;
    let (mut lives, mut abandoned) = (0, 0);
    for seed in 0..seeds {
        let outcome = run(seed, Faults { pipelines: pipelines(seed), ..Faults::ALL });
        assert_right(seed, &outcome);
        lives += outcome.lives;
        abandoned += outcome.abandoned;
    }
    println!("{seeds} seeds, {lives} lives, {abandoned} crashes and drains past their deadline");
    assert!(lives > seeds as u32, "the seeds must contain crashes");
}

#[test]
fn errors_that_are_retried_double_nothing_where_the_table_deduplicates() {
    let faults = Faults { crash: 0.0, revoke: 0.0, ..Faults::ALL };
    for seed in 0..200 {
        let outcome = run(seed, Faults { pipelines: pipelines(seed), ..faults });
        assert_right(seed, &outcome);
        assert_eq!(outcome.abandoned, 0);
    }
}

#[test]
fn the_same_seed_writes_the_same_log() {
    for seed in 0..20 {
        let faults = Faults { pipelines: pipelines(seed), ..Faults::ALL };
        assert_eq!(run(seed, faults).log, run(seed, faults).log, "seed {seed}");
    }
}
