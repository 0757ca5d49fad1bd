//! What is restored from files that were kept, and what is not.

use super::*;
use crate::backend::FileStateBackend;
use crate::backend::keyed::FileKeyedState;
use crate::backend::tests::{Place, Texts, content, set};
use snapline_core::ErrorKind;
use snapline_state::StateLocation;
use std::collections::BTreeMap;

const KEYS: u64 = 3_000;
const FIRST: Option<CheckpointId> = Some(CheckpointId(1));

/// A state whose checkpoint 1 is to be restored: its content then, and the handles.
fn checkpointed(place: &Place, backend: &FileStateBackend) -> (BTreeMap<u64, String>, Vec<StateHandle>) {
    let (texts, mut state) = place.open_on(backend, "texts".into(), (&[], None));
    for key in 0..KEYS {
        set(&texts, &mut state, key, &format!("{key:0>100}")).unwrap();
    }
    let content = content(&texts, &mut state);
    let handles = place.persist(&mut state);
    // What comes later is not part of the checkpoint.
    overwrite(&texts, &mut state);
    state.end();
    (content, handles)
}

fn overwrite(texts: &Texts, state: &mut FileKeyedState) {
    (0..KEYS).for_each(|key| set(texts, state, key, "later").unwrap());
}

/// Restores checkpoint 1 and compares it.
fn check(
    place: &Place,
    backend: &FileStateBackend,
    handles: &[StateHandle],
    expected: &BTreeMap<u64, String>,
) {
    let (texts, mut state) = place.open_on(backend, "texts".into(), (handles, FIRST));
    assert!(content(&texts, &mut state) == *expected);
    overwrite(&texts, &mut state);
    state.end();
}

/// Leaves nothing of the files of checkpoints but their lengths.
fn blank_checkpoints(place: &Place) {
    for file in checkpoint_files(place) {
        let len = fs::metadata(&file).unwrap().len();
        fs::write(&file, vec![0; len as usize]).unwrap();
    }
}

fn checkpoint_files(place: &Place) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![place.path("checkpoints")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

fn sets(place: &Place) -> usize {
    let entries = place
        .folders(KEPT)
        .into_iter()
        .map(|folder| fs::read_dir(folder).unwrap());
    entries
        .flatten()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count()
}

#[test]
fn a_restart_uses_the_files_that_were_kept_and_reads_no_checkpoint() {
    let place = Place::new(128 * 1024);
    let backend = place.backend();
    let (expected, handles) = checkpointed(&place, &backend);
    blank_checkpoints(&place);
    check(&place, &backend, &handles, &expected);
    check(&place, &backend, &handles, &expected);
    drop(backend);
    assert!(place.folders(KEPT).is_empty());
}

#[test]
fn the_files_of_a_process_that_was_killed_are_used_by_the_next_and_then_go() {
    let place = Place::new(128 * 1024);
    let backend = place.backend();
    let (expected, handles) = checkpointed(&place, &backend);
    let left = place.path("state").join(format!("{KEPT}1-0"));
    fs::rename(&place.folders(KEPT)[0], &left).unwrap();
    drop(backend);
    blank_checkpoints(&place);
    let backend = place.backend();
    check(&place, &backend, &handles, &expected);
    drop(backend);
    assert!(place.folders(KEPT).is_empty());
}

#[test]
fn the_checkpoint_is_read_when_kept_files_are_damaged_or_of_another() {
    let place = Place::new(128 * 1024);
    type Damage = fn(&Path);
    let cases: [(Damage, CheckpointId); 3] = [
        (|file| fs::remove_file(file).unwrap(), CheckpointId(1)),
        (
            |file| fs::write(file, &fs::read(file).unwrap()[1..]).unwrap(),
            CheckpointId(1),
        ),
        (|_| {}, CheckpointId(2)),
    ];
    for (damage, base) in cases {
        let backend = place.backend();
        let (expected, handles) = checkpointed(&place, &backend);
        damage(&place.folders(KEPT)[0].join("0/0"));
        let (texts, mut state) = place.open_on(&backend, "texts".into(), (&handles, Some(base)));
        assert!(content(&texts, &mut state) == expected);
        assert_eq!(sets(&place), 0);
        state.end();
    }
}

#[test]
fn kept_files_do_not_hide_that_the_checkpoint_is_gone_or_cut_short() {
    let place = Place::new(128 * 1024);
    let backend = place.backend();
    let (_, handles) = checkpointed(&place, &backend);
    let StateLocation::File { key, .. } = &handles[0].location else {
        panic!("{handles:?}");
    };
    let file = place.path("checkpoints").join(key.as_str());
    let damages: [fn(&Path); 2] = [
        |file| fs::write(file, &fs::read(file).unwrap()[1..]).unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for damage in damages {
        damage(&file);
        let opened = place.try_open_on(&backend, "texts".into(), (&handles, FIRST));
        let error = opened.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}");
    }
}

#[test]
fn kept_files_whose_damage_shows_late_are_not_used_again() {
    let place = Place::new(128 * 1024);
    let backend = place.backend();
    let (expected, handles) = checkpointed(&place, &backend);
    let file = place.folders(KEPT)[0].join("0/0");
    let mut bytes = fs::read(&file).unwrap();
    bytes[20] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (texts, mut state) = place.open_on(&backend, "texts".into(), (&handles, FIRST));
    let failed = texts.table(&mut state).unwrap().scan(&mut |_, _| Ok(()));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
    state.end();
    check(&place, &backend, &handles, &expected);
}

#[test]
fn a_state_of_other_tables_does_not_get_them() {
    let place = Place::new(128 * 1024);
    let backend = place.backend();
    let (_, handles) = checkpointed(&place, &backend);
    let (texts, mut state) = place.open_on(&backend, "others".into(), (&handles, FIRST));
    assert!(content(&texts, &mut state).is_empty());
}

#[test]
fn of_checkpoints_that_nothing_builds_on_any_more_no_files_are_kept() {
    let place = Place::new(128 * 1024);
    let shelf = Shelf::new(place.path("state"));
    let owner = |operator: &str| Owner {
        storage: String::new(),
        operator: operator.to_owned(),
        key_groups: KeyGroupRange::new(0, 8),
        tables: Vec::new(),
    };
    let keep = |operator: &str, checkpoint: u64, base: Option<u64>| {
        let ids = (CheckpointId(checkpoint), base.map(CheckpointId));
        shelf.keep(&owner(operator), ids, &[], &Version::default());
    };
    let cases = [
        (1, None, 1),
        (2, Some(1), 2),
        (3, Some(1), 3),
        (4, Some(3), 2),
        (5, None, 3),
        (6, None, 4),
        (7, None, 4),
    ];
    keep("other", 1, None);
    for (checkpoint, base, expected) in cases {
        keep("this", checkpoint, base);
        assert_eq!(sets(&place), expected + 1, "{checkpoint}");
    }
}
