//! A batch of changes: its keys are read together, each once, and written once.

use super::{ByteTable, encoded};
use crate::table::Slot;
use hashbrown::HashTable;
use snapline_core::{Data, Error, Key, KeyGroup, MaxParallelism, Result, decode, encode_into};
use std::ops::Range;

/// So many changes are taken at a time: enough for one question to a store that is far away, and few enough that their
/// values fit in memory.
const AT_ONCE: usize = 256;

/// Changes the values of keys in order.
pub(super) fn update_each<K: Key, V: Data, A>(
    table: &mut dyn ByteTable,
    max_parallelism: MaxParallelism,
    hashes: &[u64],
    entries: &mut dyn Iterator<Item = (K, A)>,
    change: &mut dyn FnMut(A, Slot<'_, V>),
) -> Result<()> {
    let mut batch = Batch::default();
    let mut attached = Vec::new();
    for hashes in hashes.chunks(AT_ONCE) {
        batch.clear();
        for (hash, (key, with)) in hashes.iter().zip(&mut *entries) {
            batch.add(*hash, max_parallelism.key_group(*hash), &key)?;
            attached.push(with);
        }
        batch.change(table, attached.drain(..), change)?;
    }
    Ok(())
}

/// Some changes with their different keys.
#[derive(Default)]
struct Batch {
    /// All different keys, encoded.
    bytes: Vec<u8>,
    keys: Vec<BatchKey>,
    /// By hash, positions in `keys`.
    known: HashTable<usize>,
    /// Of which key each change is.
    order: Vec<usize>,
}

struct BatchKey {
    hash: u64,
    group: KeyGroup,
    at: Range<usize>,
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.keys.clear();
        self.known.clear();
        self.order.clear();
    }

    fn add<K: Key>(&mut self, hash: u64, group: KeyGroup, key: &K) -> Result<()> {
        let from = self.bytes.len();
        encode_into(key, &mut self.bytes)?;
        let at = from..self.bytes.len();
        let (keys, bytes) = (&self.keys, &self.bytes);
        let same = |other: &usize| {
            let other = &keys[*other];
            other.hash == hash && bytes[other.at.clone()] == bytes[at.clone()]
        };
        let position = match self.known.find(hash, same) {
            Some(position) => {
                let position = *position;
                self.bytes.truncate(from);
                position
            }
            None => {
                let position = self.keys.len();
                self.keys.push(BatchKey { hash, group, at });
                let keys = &self.keys;
                self.known
                    .insert_unique(hash, position, |position| keys[*position].hash);
                position
            }
        };
        self.order.push(position);
        Ok(())
    }

    fn change<V: Data, A>(
        &self,
        table: &mut dyn ByteTable,
        attached: impl Iterator<Item = A>,
        change: &mut dyn FnMut(A, Slot<'_, V>),
    ) -> Result<()> {
        let mut values = self.read(table)?;
        for (position, attached) in self.order.iter().zip(attached) {
            match &mut values[*position] {
                Some(value) => change(attached, Slot::Occupied(value)),
                vacant => change(attached, Slot::Vacant(vacant)),
            }
        }
        for (key, value) in self.keys.iter().zip(&values) {
            if let Some(value) = value {
                table.put(key.group, &self.bytes[key.at.clone()], &encoded(value)?)?;
            }
        }
        Ok(())
    }

    fn read<V: Data>(&self, table: &mut dyn ByteTable) -> Result<Vec<Option<V>>> {
        let keys = self.keys.iter();
        let keys: Vec<_> = keys.map(|key| (key.group, &self.bytes[key.at.clone()])).collect();
        let stored = table.get_many(&keys)?;
        if stored.len() != keys.len() {
            return Err(
                Error::internal("a table has not answered for each key that was asked for")
                    .with("keys", keys.len())
                    .with("answers", stored.len()),
            );
        }
        let values = stored
            .into_iter()
            .map(|value| value.as_deref().map(decode).transpose());
        values.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ByteAccess, EntryVisitor};
    use super::*;
    use crate::access::TableMut;
    use proptest::prelude::*;
    use snapline_core::StableHasher;
    use std::collections::BTreeMap;

    /// Counts how often it is asked.
    #[derive(Default)]
    struct Far {
        entries: BTreeMap<Vec<u8>, Vec<u8>>,
        questions: usize,
        puts: usize,
    }

    impl ByteTable for Far {
        fn get(&mut self, _: KeyGroup, key: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(self.entries.get(key).cloned())
        }

        fn get_many(&mut self, keys: &[(KeyGroup, &[u8])]) -> Result<Vec<Option<Vec<u8>>>> {
            self.questions += 1;
            keys.iter().map(|(group, key)| self.get(*group, key)).collect()
        }

        fn put(&mut self, _: KeyGroup, key: &[u8], value: &[u8]) -> Result<()> {
            self.puts += 1;
            self.entries.insert(key.to_vec(), value.to_vec());
            Ok(())
        }

        fn delete(&mut self, _: KeyGroup, key: &[u8]) -> Result<()> {
            self.entries.remove(key);
            Ok(())
        }

        fn scan(&mut self, visit: EntryVisitor<'_>) -> Result<()> {
            self.entries.iter().try_for_each(|(key, value)| visit(key, value))
        }
    }

    /// Even numbers are appended to the list of a key; odd ones leave a key without a list.
    fn append(number: u32, slot: Slot<'_, Vec<u32>>) {
        match slot {
            Slot::Occupied(list) => list.push(number),
            Slot::Vacant(vacant) if number.is_multiple_of(2) => *vacant = Some(vec![number]),
            Slot::Vacant(_) => {}
        }
    }

    proptest! {
        #[test]
        fn a_batch_is_its_changes_in_order(
            rounds in prop::collection::vec(prop::collection::vec((0_u8..40, any::<u32>()), 0..700), 1..4),
        ) {
            let (mut far, mut expected) = (Far::default(), BTreeMap::new());
            for round in &rounds {
                let mut hasher = StableHasher::new();
                let hashes: Vec<u64> = round.iter().map(|(key, _)| hasher.hash(key).unwrap()).collect();
                let mut table = TableMut::Bytes(ByteAccess::new(&mut far, MaxParallelism::DEFAULT));
                table.update_each(&hashes, round.iter().copied(), append).unwrap();
                for (key, number) in round {
                    let list: &mut Option<Vec<u32>> = expected.entry(*key).or_default();
                    match list {
                        Some(list) => append(*number, Slot::Occupied(list)),
                        vacant => append(*number, Slot::Vacant(vacant)),
                    }
                }
            }
            let mut content = BTreeMap::new();
            let mut keep = |key: &u8, list: &Vec<u32>| {
                content.insert(*key, Some(list.clone()));
                Ok(())
            };
            ByteAccess::new(&mut far, MaxParallelism::DEFAULT).scan(&mut keep).unwrap();
            expected.retain(|_, list| list.is_some());
            prop_assert_eq!(content, expected);
        }
    }

    #[test]
    fn a_batch_of_repeated_keys_is_one_question_and_one_write_for_each_key() {
        let mut far = Far::default();
        let entries = (0..AT_ONCE as u32).map(|number| (number as u8 % 10, number * 2));
        let mut hasher = StableHasher::new();
        let hashes: Vec<u64> = entries
            .clone()
            .map(|(key, _)| hasher.hash(&key).unwrap())
            .collect();
        let mut table = TableMut::Bytes(ByteAccess::new(&mut far, MaxParallelism::DEFAULT));
        table.update_each(&hashes, entries, append).unwrap();
        assert_eq!((far.questions, far.puts), (1, 10));
    }
}
