//! WordCount is killed at every kind of moment, started again, and counts every word exactly once.
//!
//! `cargo xtask chaos` runs the same for longer. Settings come from the environment:
//! `SNAPLINE_CHAOS_KILLS` (in all), `SNAPLINE_CHAOS_SECONDS` (at least), `SNAPLINE_CHAOS_PARALLELISM`
//! (1 and 2 when unset), `SNAPLINE_CHAOS_SEED`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed of a failed run must be known")]

mod support;

use snapline_benches::SplitMix64;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::{Counts, Program, assert_exactly_once, count_words};

const TEXT_BYTES: u64 = 24_000_000;
/// A phase that was missed is aimed at this many times more.
const MORE_KILLS: u64 = 40;

/// Where a job was when it was killed, as its checkpoint folder shows afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It had not yet claimed an attempt.
    BeforeAttempt,
    /// It had claimed an attempt but completed no checkpoint.
    Recovery,
    /// State was stored of a checkpoint that did not exist yet.
    Checkpoint,
    /// A checkpoint existed, its output was not known to be visible.
    Commit,
    /// Between two checkpoints.
    Processing,
}

/// All of them are hit by the test; the first two count as one.
const REQUIRED: [&[Phase]; 3] = [
    &[Phase::BeforeAttempt, Phase::Recovery],
    &[Phase::Checkpoint],
    &[Phase::Commit],
];

/// Each round has another.
const ALIGNMENTS: [&str; 3] = ["aligned", "unaligned", "auto"];

struct Plan {
    kills: u64,
    time: Duration,
    random: SplitMix64,
}

#[test]
fn killed_at_any_moment_one_subtask_counts_every_word_once() {
    survive(1);
}

#[test]
fn killed_at_any_moment_two_subtasks_count_every_word_once() {
    survive(2);
}

#[test]
fn a_line_that_is_missing_repeated_or_invented_is_noticed() {
    let expected = count_words("a b a");
    let cases = [
        ("a\t1\nb\t1\na\t2\n", None),
        ("a\t1\nb\t1\n", Some("a should be counted up to 2")),
        ("a\t2\nb\t1\n", Some("Some(1) is missing")),
        ("a\t1\na\t2\n", Some("b should be counted up to 1")),
        ("a\t1\na\t2\nb\t1\na\t2\n", Some("came twice")),
        ("a\t1\na\t2\na\t3\nb\t1\n", Some("a should be counted up to 2")),
        ("a\t1\na\t2\nb\t1\nc\t1\n", Some("words that are not in the text")),
        ("a\t1\na\t2\nb\t1", Some("ends in half a line")),
    ];
    for (lines, complaint) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("part-0"), lines).unwrap();
        std::fs::write(folder.path().join(".part-1"), "a\t1\n").unwrap();
        let outcome = std::panic::catch_unwind(|| assert_exactly_once(folder.path(), &expected));
        let message = outcome
            .err()
            .map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
        match (&message, complaint) {
            (None, None) => {}
            (Some(message), Some(complaint)) => assert!(message.contains(complaint), "{lines:?}: {message}"),
            _ => panic!("{lines:?}: {message:?}, but expected {complaint:?}"),
        }
    }
}

/// Runs with this many subtasks, unless the environment wants others.
fn survive(parallelism: u64) {
    let parallelism = match (variable("PARALLELISM"), parallelism) {
        (Some(wanted), 1) => wanted,
        (Some(_), _) => return,
        (None, given) => given,
    };
    let mut plan = Plan::read(parallelism);
    let clock = start_clock();
    let mut hits: BTreeMap<Phase, u64> = BTreeMap::new();
    let mut round = 0_usize;
    while !plan.is_done(&hits, clock.elapsed()) {
        round += 1;
        assert!(
            hits.values().sum::<u64>() < plan.kills + MORE_KILLS || clock.elapsed() < plan.time,
            "{hits:?}"
        );
        let program = Program::new(&[
            "--parallelism",
            &parallelism.to_string(),
            "--checkpoint-interval-ms",
            "100",
            "--alignment",
            ALIGNMENTS[round % ALIGNMENTS.len()],
        ]);
        support::write_text_file(&program.input(), TEXT_BYTES, plan.random.next_u64());
        let expected = count_words(&std::fs::read_to_string(program.input()).unwrap());
        play(&program, &mut plan, &mut hits, &expected, &clock);
        println!("parallelism {parallelism}, round {round}, kills so far: {hits:?}");
    }
}

/// Kills until the program comes to its end, or the plan is done; then lets it finish.
fn play(
    program: &Program,
    plan: &mut Plan,
    hits: &mut BTreeMap<Phase, u64>,
    expected: &Counts,
    clock: &Instant,
) {
    while !plan.is_done(hits, clock.elapsed()) {
        let aim = plan.aim(hits);
        match kill(program, aim, &mut plan.random) {
            Some(phase) => *hits.entry(phase).or_default() += 1,
            None => break,
        }
    }
    for _ in 0..2 {
        // The second time everything is done already, and nothing may change.
        program.run().assert_success();
        assert_exactly_once(&program.output(), expected);
    }
}

/// Runs the program and kills it in this phase, or near it; `None` when it has ended before.
fn kill(program: &Program, aim: Phase, random: &mut SplitMix64) -> Option<Phase> {
    let checkpoints = program.checkpoints();
    let attempt = checkpoints.newest_attempt();
    let epoch = checkpoints.newest_epoch();
    let (mut epochs, mut polls) = (random.below(3), random.below(2_000));
    if matches!(aim, Phase::BeforeAttempt | Phase::Recovery) {
        epochs = 0;
        polls = random.below(50);
    }
    // The take-over itself writes an epoch record.
    let is_warm = || checkpoints.newest_epoch() > epoch + 1 + epochs;
    let mut running = program.start();
    let mut elapsed = 0;
    let alive = running.until(|| match aim {
        Phase::BeforeAttempt => true,
        Phase::Recovery => checkpoints.newest_attempt() > attempt,
        Phase::Checkpoint => is_warm() && checkpoints.checkpoint_is_running(),
        Phase::Commit => is_warm() && checkpoints.commit_is_pending(),
        Phase::Processing => is_warm(),
    });
    let delayed = matches!(aim, Phase::BeforeAttempt | Phase::Recovery | Phase::Processing);
    let alive = alive
        && (!delayed
            || running.until(|| {
                elapsed += 1;
                elapsed > polls
            }));
    if !alive {
        running.end().assert_success();
        return None;
    }
    let ended = running.kill();
    match ended.code {
        None => Some(phase_after(program, attempt, epoch)),
        Some(_) => {
            ended.assert_success();
            None
        }
    }
}

fn phase_after(program: &Program, attempt: u64, epoch: u64) -> Phase {
    let checkpoints = program.checkpoints();
    if checkpoints.newest_attempt() == attempt {
        Phase::BeforeAttempt
    } else if checkpoints.commit_is_pending() {
        Phase::Commit
    } else if checkpoints.checkpoint_is_running() {
        Phase::Checkpoint
    } else if checkpoints.newest_epoch() <= epoch + 1 {
        Phase::Recovery
    } else {
        Phase::Processing
    }
}

impl Plan {
    fn read(parallelism: u64) -> Self {
        let seed = variable("SEED").unwrap_or(1);
        println!("SNAPLINE_CHAOS_SEED={seed}, parallelism {parallelism}");
        let kills = variable("KILLS").unwrap_or(12);
        let tests = if variable("PARALLELISM").is_some() { 1 } else { 2 };
        Self {
            kills: kills.div_ceil(tests),
            time: Duration::from_secs(variable("SECONDS").unwrap_or(0)),
            random: SplitMix64::new(seed.wrapping_mul(31).wrapping_add(parallelism)),
        }
    }

    fn is_done(&self, hits: &BTreeMap<Phase, u64>, elapsed: Duration) -> bool {
        hits.values().sum::<u64>() >= self.kills && elapsed >= self.time && missing(hits).is_none()
    }

    /// Any phase, but in the end those that were missed.
    fn aim(&mut self, hits: &BTreeMap<Phase, u64>) -> Phase {
        let phases = [
            Phase::Checkpoint,
            Phase::Commit,
            Phase::Processing,
            Phase::Recovery,
            Phase::BeforeAttempt,
        ];
        let any = phases[self.random.below(phases.len() as u64) as usize];
        match missing(hits) {
            Some(phase) if self.random.below(2) == 0 => phase,
            _ => any,
        }
    }
}

/// A phase that was not hit yet.
fn missing(hits: &BTreeMap<Phase, u64>) -> Option<Phase> {
    let was_missed = |phases: &&&[Phase]| !phases.iter().any(|phase| hits.contains_key(phase));
    REQUIRED
        .iter()
        .find(was_missed)
        .map(|phases| phases[phases.len() - 1])
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(format!("SNAPLINE_CHAOS_{name}")).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("SNAPLINE_CHAOS_{name} must be a number, not {value:?}")),
    )
}

#[expect(clippy::disallowed_methods, reason = "a long run is limited by real time")]
fn start_clock() -> Instant {
    Instant::now()
}
