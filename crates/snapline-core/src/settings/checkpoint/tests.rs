//! Settings that contradict each other, and settings as text.

use super::*;

#[test]
fn settings_that_contradict_each_other_are_refused_with_a_remedy() {
    let good = CheckpointSettings::every(Duration::from_millis(1000));
    let changed = |change: fn(&mut CheckpointSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        settings
    };
    let timed = |settings: &mut CheckpointSettings, timeout_ms| {
        settings.alignment = AlignmentSettings::AlignedWithTimeout { timeout_ms };
    };
    let mut late = good.clone();
    timed(&mut late, 600_000);
    let mut early = good.clone();
    timed(&mut early, 0);
    let cases = [
        (
            changed(|settings| settings.timeout_ms = 999),
            Some("raise the timeout"),
        ),
        (changed(|settings| settings.timeout_ms = 1000), None),
        (changed(|settings| settings.interval_ms = 3_600_000), None),
        (changed(|settings| settings.max_concurrent = 2), None),
        (
            changed(|settings| settings.max_concurrent = 0),
            Some("at least 1"),
        ),
        (
            changed(|settings| {
                settings.alignment = AlignmentSettings::Unaligned;
                settings.max_concurrent = 2;
            }),
            Some("max_concurrent to 1"),
        ),
        (
            changed(|settings| {
                settings.alignment = AlignmentSettings::Unaligned;
                settings.mode = CheckpointMode::AtLeastOnce;
            }),
            Some("checkpoints.mode to exactly-once"),
        ),
        (
            changed(|settings| settings.consistency_proof = ConsistencyProof::Sampled { every: 0 }),
            Some("at least 1"),
        ),
        (
            changed(|settings| settings.alignment = AlignmentSettings::Unaligned),
            None,
        ),
        (late, Some("lower the alignment timeout")),
        (early, None),
    ];
    for (settings, remedy) in cases {
        match (settings.validate(), remedy) {
            (Ok(()), None) => {}
            (Err(error), Some(remedy)) if error.message().contains(remedy) => {}
            (outcome, _) => panic!("{settings:?}: {outcome:?}"),
        }
    }
}

#[test]
fn settings_are_read_from_text_and_an_unknown_option_is_an_error() {
    let read = |text: &str| serde_json::from_str::<CheckpointSettings>(text);
    let settings = read(r#"{"alignment": {"aligned-with-timeout": {"timeout_ms": 5}}}"#).unwrap();
    let expected = BarrierAlignment::AlignedWithTimeout { timeout_ms: 5 };
    assert_eq!(settings.barrier_alignment(), expected);
    assert_eq!(
        read(r#"{"alignment": "unaligned"}"#).unwrap().barrier_alignment(),
        BarrierAlignment::Unaligned
    );
    assert!(read(r#"{"aligment": "unaligned"}"#).is_err());
}
