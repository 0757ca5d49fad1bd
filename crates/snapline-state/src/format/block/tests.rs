//! Tests of the block format.

use super::decoder::parse_meta;
use super::recoder::Recoder;
use super::*;
use crate::snapshot::block_channel;
use futures::StreamExt;
use futures::executor::block_on;

fn meta(name: &str) -> TableMeta {
    TableMeta {
        name: name.into(),
        version: 1,
        key_type: "u64".into(),
        key_version: 1,
        value_type: "String".into(),
        schema: None,
    }
}

fn file_of(write: impl FnOnce(&mut BlockWriter)) -> Bytes {
    let (sender, receiver) = block_channel();
    let mut writer = BlockWriter::new(sender);
    write(&mut writer);
    writer.finish();
    block_on(receiver.map(Result::unwrap).collect::<Vec<_>>())
        .concat()
        .into()
}

fn sample() -> Bytes {
    file_of(|writer| {
        writer.begin_table(TableId(3), &meta("counts")).unwrap();
        let mut payload = Vec::new();
        for (key, len) in [(1_u64, 0_usize), (2, 127), (3, 128), (4, 70_000)] {
            Entry::encode(&key, &"x".repeat(len), &mut payload).unwrap();
        }
        writer.append(
            TableId(3),
            KeyGroupRange::new(2, 3),
            2,
            &payload[..payload.len() / 2],
        );
        writer.append(
            TableId(3),
            KeyGroupRange::new(9, 11),
            2,
            &payload[payload.len() / 2..],
        );
    })
}

fn read(file: Bytes) -> Result<Vec<Block>> {
    BlockReader::new(file)?.collect()
}

#[test]
fn what_is_written_is_read() {
    let blocks = read(sample()).unwrap();
    assert_eq!(blocks[0], Block::Meta(TableId(3), meta("counts")));
    let Block::Entries {
        table,
        key_groups,
        entries,
        payload,
    } = &blocks[1]
    else {
        panic!("{blocks:?}")
    };
    assert_eq!(
        (*table, *key_groups, *entries),
        (TableId(3), KeyGroupRange::new(2, 11), 4)
    );
    let lengths: Vec<_> = Entry::iter(payload)
        .map(|entry| {
            snapline_core::decode::<String>(entry.unwrap().value)
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(lengths, [0, 127, 128, 70_000]);
}

#[test]
fn every_cut_and_every_flipped_byte_is_noticed() {
    let file = file_of(|writer| {
        writer.begin_table(TableId(0), &meta("counts")).unwrap();
        let mut payload = Vec::new();
        Entry::encode(&1_u64, &"one", &mut payload).unwrap();
        writer.append(TableId(0), KeyGroupRange::new(0, 1), 1, &payload);
    });
    for len in 0..file.len() {
        assert!(read(file.slice(..len)).is_err(), "cut at {len}");
    }
    for at in 0..file.len() {
        let mut bytes = file.to_vec();
        bytes[at] ^= 0x10;
        assert!(read(bytes.into()).is_err(), "flipped at {at}");
    }
}

/// The same file as a snapshot stores it.
fn compressed(write: impl FnOnce(&mut BlockWriter), codec: Codec) -> Bytes {
    let (sender, receiver) = block_channel();
    let mut writer = BlockWriter::new(sender);
    write(&mut writer);
    writer.finish();
    let mut recoder = Recoder::to(codec).unwrap();
    let pieces = receiver.map(|piece| recoder.recode(piece.unwrap()).unwrap());
    block_on(pieces.collect::<Vec<_>>()).concat().into()
}

#[test]
fn a_compressed_file_is_shorter_and_holds_the_same_and_its_damage_is_noticed() {
    let write = |writer: &mut BlockWriter| {
        let mut payload = Vec::new();
        writer.begin_table(TableId(0), &meta("counts")).unwrap();
        for key in 0..200_u64 {
            Entry::encode(&key, &"the same again and again", &mut payload).unwrap();
        }
        writer.append(TableId(0), KeyGroupRange::new(0, 7), 200, &payload);
        writer.append_removed(TableId(0), KeyGroupRange::new(1, 2), 1, &[1, 7]);
    };
    let plain = file_of(write);
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        if crate::check_codec(codec).is_err() {
            continue;
        }
        let file = compressed(write, codec);
        assert_eq!(read(file.clone()).unwrap(), read(plain.clone()).unwrap());
        assert!(codec == Codec::None || file.len() < plain.len() / 3, "{codec:?}");
        for len in 0..file.len() {
            assert!(read(file.slice(..len)).is_err(), "{codec:?} cut at {len}");
        }
        for at in 0..file.len() {
            let mut bytes = file.to_vec();
            bytes[at] ^= 0x10;
            assert!(read(bytes.into()).is_err(), "{codec:?} flipped at {at}");
        }
    }
}

#[test]
fn a_file_that_comes_in_pieces_of_any_size_is_read_as_soon_as_it_is_there() {
    let file = sample();
    let whole = read(file.clone()).unwrap();
    for size in [1, 7, 24, 1000, file.len()] {
        let mut decoder = BlockDecoder::new(Checks::Blocks);
        let mut blocks = Vec::new();
        for start in (0..file.len()).step_by(size) {
            assert!(decoder.finish().is_err());
            decoder.push(file.slice(start..file.len().min(start + size)).into());
            while let Some(block) = decoder.next().unwrap() {
                blocks.push(block);
            }
        }
        decoder.finish().unwrap();
        assert_eq!(blocks, whole, "{size}");
    }
}

#[test]
fn a_table_that_comes_again_begins_a_new_block() {
    let mut payload = Vec::new();
    Entry {
        key: b"k",
        value: b"v",
    }
    .append(&mut payload);
    let file = file_of(|writer| {
        for table in [0, 1] {
            writer.begin_table(TableId(table), &meta("t")).unwrap();
        }
        for table in [0, 1, 0] {
            writer.append(TableId(table), KeyGroupRange::new(0, 1), 1, &payload);
        }
    });
    let tables: Vec<_> = read(file)
        .unwrap()
        .into_iter()
        .filter_map(|block| {
            if let Block::Entries { table, .. } = block {
                Some(table.0)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(tables, [0, 1, 0]);
}

#[test]
fn a_payload_that_is_cut_ends_with_one_error() {
    let mut payload = Vec::new();
    Entry {
        key: b"key",
        value: b"value",
    }
    .append(&mut payload);
    for len in 1..payload.len() {
        let entries: Vec<_> = Entry::iter(&payload[..len]).collect();
        assert!(entries.len() == 1 && entries[0].is_err(), "cut at {len}");
    }
}

#[test]
fn what_is_known_of_a_schema_does_not_make_tables_different_and_a_newer_one_is_passed_over() {
    let known = TableMeta {
        schema: Schema::of::<String, u64>(),
        ..meta("counts")
    };
    assert_eq!(known, meta("counts"));
    assert!(known.check_against(&meta("counts")).is_ok());
    let json = serde_json::to_string(&known).unwrap();
    assert_eq!(parse_meta(json.as_bytes()).unwrap().schema, known.schema);
    let old = serde_json::to_string(&meta("counts")).unwrap();
    assert!(!old.contains("schema"));
    assert_eq!(parse_meta(old.as_bytes()).unwrap().schema, None);
    let newer = json.replace("\"u64\"", "\"u256\"");
    assert!(newer.contains("u256"), "{newer}");
    assert_eq!(parse_meta(newer.as_bytes()).unwrap().schema, None);
    assert_ne!(
        TableMeta {
            version: 2,
            ..known.clone()
        },
        known
    );
}
