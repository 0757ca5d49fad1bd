//! Against a map.

use super::*;
use byteview::ByteView;
use snapline_core::StableHasher;
use std::collections::BTreeMap;
use std::fs;

type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn key(number: u64) -> Vec<u8> {
    StableHasher::new().hash(&number).unwrap().to_be_bytes()[..6].to_vec()
}

/// Changes number `batch`: some keys of `keys` get values, some are removed.
fn changes(batch: u64, keys: u64) -> Model {
    (0..400)
        .map(|index| {
            let draw = StableHasher::new().hash(&(batch, index)).unwrap();
            let value = vec![batch as u8; draw as usize % 2_000];
            (key(draw % keys), (!draw.is_multiple_of(5)).then_some(value))
        })
        .collect()
}

fn write(files: &Files, changes: &Model) -> Arc<SortedFile> {
    let changes: Vec<_> = changes
        .iter()
        .map(|(key, value)| Change {
            key: ByteView::from(&key[..]),
            value: value.as_deref().map(ByteView::from),
        })
        .collect();
    files.write(&changes).unwrap()
}

fn read(mut merged: Merged) -> Model {
    let mut read = Model::new();
    let mut last = None;
    while let Some((key, value)) = merged.next_entry().unwrap() {
        assert!(last.as_deref() < Some(key), "not in order, or twice");
        last = Some(key.to_vec());
        read.insert(key.to_vec(), value.map(<[u8]>::to_vec));
    }
    read
}

fn files(folder: &tempfile::TempDir) -> Files {
    let cache = Arc::new(BlockCache::new(256 * 1024));
    Files::new(folder.path().to_owned(), cache, Budget::new(64 * 1024))
}

#[test]
fn files_say_what_was_written_last_whatever_is_merged() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&folder);
    let mut model = Model::new();
    let mut buffer = Vec::new();
    let mut kept = Vec::new();
    for batch in 0..120 {
        let changes = changes(batch, 6_000);
        kept.push((write(&files, &changes), changes.clone()));
        model.extend(changes);
        files.compact().unwrap();
        if batch % 10 == 9 {
            for number in 0..6_500 {
                let found = files.version().get(&key(number), &mut buffer).unwrap();
                let expected = model.get(&key(number)).cloned().flatten();
                assert_eq!(found.as_deref(), expected.as_deref(), "{batch} {number}");
            }
        }
    }
    let alive = |model: &Model, from: &[u8]| -> Model {
        let entries = model.range(from.to_vec()..).filter(|(_, value)| value.is_some());
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let version = files.version();
    assert!(version.levels.len() >= 2, "{}", version.levels.len());
    for from in [vec![], key(3), key(5_000), vec![0xff; 8]] {
        assert!(read(files.entries(&from).unwrap()) == alive(&model, &from));
    }
    let (batches, changes): (Vec<_>, Vec<_>) = kept.drain(50..55).unzip();
    let mut expected = Model::new();
    changes.into_iter().for_each(|changes| expected.extend(changes));
    assert!(read(files.merge_batches(&batches).unwrap()) == expected);

    drop((kept, batches));
    let on_disk = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(on_disk, version.files().count());
    drop((files, version));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn batches_in_the_order_of_keys_are_moved_and_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&folder);
    let mut written = 0;
    for batch in 0..64_u64 {
        let entries = 0..1_000_u64;
        let changes = entries.map(|entry| {
            let key = (batch * 1_000 + entry).to_be_bytes().to_vec();
            (key, Some(vec![7; 100]))
        });
        written += write(&files, &changes.collect()).bytes();
        files.compact().unwrap();
    }
    assert_eq!(files.bytes(), written);
}

#[test]
fn a_damaged_block_is_an_error_and_no_wrong_value() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&folder);
    let written = changes(1, 6_000);
    write(&files, &written);
    let path = folder.path().join("0");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1_000] ^= 1;
    fs::write(path, bytes).unwrap();
    let first = written.keys().next().unwrap();
    let error = files.version().get(first, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(files.entries(&[]).is_err());
}
