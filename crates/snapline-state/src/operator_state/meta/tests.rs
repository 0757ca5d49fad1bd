//! Versions of lists and maps.

use super::*;
use crate::ttl::StateTtl;
use snapline_core::{Clock, ErrorKind, ManualClock, Timestamp, decode};
use std::time::Duration;

const KINDS: [OperatorStateKind; 3] = [
    OperatorStateKind::Split,
    OperatorStateKind::Union,
    OperatorStateKind::Broadcast,
];

/// A state with one number, of a program that has declared it, or of one from before there were versions.
fn numbers(kind: OperatorStateKind, version: Option<u32>) -> OperatorState {
    let mut state = OperatorState::new();
    if let Some(version) = version {
        declare(
            &mut state,
            kind,
            StateDescriptor::<u32>::new("numbers").version(version),
        )
        .unwrap();
    }
    match kind {
        OperatorStateKind::Split => state.push("numbers", &7_u32).unwrap(),
        OperatorStateKind::Union => state.push_union("numbers", &7_u32).unwrap(),
        OperatorStateKind::Broadcast => state.put_broadcast("numbers", &1_u8, &7_u32).unwrap(),
    }
    let bytes = state.encode().unwrap();
    let restored = OperatorState::decode(&bytes).unwrap();
    assert_eq!(restored, state);
    OperatorState::redistribute(vec![restored], 2).remove(0)
}

fn declare<V: Data>(
    state: &mut OperatorState,
    kind: OperatorStateKind,
    descriptor: StateDescriptor<V>,
) -> Result<()> {
    match kind {
        OperatorStateKind::Broadcast => state.declare::<u8, V>(kind, &descriptor),
        _ => state.declare::<(), V>(kind, &descriptor),
    }
}

fn texts(state: &OperatorState, kind: OperatorStateKind) -> Vec<String> {
    match kind {
        OperatorStateKind::Split => state.items("numbers").unwrap(),
        OperatorStateKind::Union => state.union_items("numbers").unwrap(),
        OperatorStateKind::Broadcast => {
            let entries = state.broadcast_entries::<u8, String>("numbers").unwrap();
            entries.into_iter().map(|(_, value)| value).collect()
        }
    }
}

fn as_text() -> StateDescriptor<String> {
    let descriptor = StateDescriptor::<String>::new("numbers").version(3);
    descriptor.migrate(|version, stored| Ok(format!("{} of version {version}", decode::<u32>(stored)?)))
}

#[test]
fn an_older_version_becomes_that_of_the_program_once() {
    for kind in KINDS {
        for (stored, known_as) in [(Some(2), 2), (Some(1), 1), (None, 1)] {
            let mut state = numbers(kind, stored);
            declare(&mut state, kind, as_text()).unwrap();
            let expected = [format!("7 of version {known_as}")];
            assert_eq!(texts(&state, kind), expected);
            let mut again = OperatorState::decode(&state.encode().unwrap()).unwrap();
            declare(&mut again, kind, as_text()).unwrap();
            assert_eq!(texts(&again, kind), expected);
        }
    }
}

#[test]
fn a_version_or_a_type_that_does_not_fit_is_told_with_both() {
    for kind in KINDS {
        let version = |version| StateDescriptor::<u32>::new("numbers").version(version);
        let no_way = declare(&mut numbers(kind, Some(1)), kind, version(2)).unwrap_err();
        let newer = declare(&mut numbers(kind, Some(2)), kind, version(1)).unwrap_err();
        let other: StateDescriptor<String> = "numbers".into();
        let other = declare(&mut numbers(kind, Some(1)), kind, other).unwrap_err();
        for (error, parts) in [
            (no_way, ["older version", "version 1", "version 2"]),
            (newer, ["newer version", "version 2", "version 1"]),
            (other, ["is not of the type", "-> u32", "-> String"]),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert_eq!(error.context("state"), Some("numbers"));
            assert!(
                parts.iter().all(|part| error.to_string().contains(part)),
                "{error}"
            );
        }
    }
}

#[test]
fn what_has_no_items_fits_any_program() {
    for kind in KINDS {
        let mut state = OperatorState::new();
        declare(
            &mut state,
            kind,
            StateDescriptor::<u32>::new("numbers").version(5),
        )
        .unwrap();
        declare(&mut state, kind, as_text()).unwrap();
        assert!(state.is_empty() && state.encode().unwrap() == OperatorState::new().encode().unwrap());
    }
}

#[test]
fn what_nobody_declares_keeps_its_version() {
    for kind in KINDS {
        let restored = numbers(kind, Some(2));
        let mut again = OperatorState::decode(&restored.encode().unwrap()).unwrap();
        assert_eq!(again.meta(kind, "numbers").unwrap().version, 2);
        declare(&mut again, kind, as_text()).unwrap();
        assert_eq!(texts(&again, kind), ["7 of version 2"]);
    }
}

#[test]
fn a_time_to_live_is_refused() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp(0)));
    let ttl = StateTtl::new(Duration::from_secs(1));
    let descriptor = StateDescriptor::<u32>::new("numbers").time_to_live(ttl, clock);
    let error = declare(&mut OperatorState::new(), OperatorStateKind::Split, descriptor).unwrap_err();
    assert!(error.to_string().contains("no time to live"), "{error}");
}
