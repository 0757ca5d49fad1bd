//! Records are dealt out by their keys, one column after the other.
//!
//! First it is found for all records of a batch to which channel each goes, which decides nothing that a processor could
//! mispredict, and how many go to each. Then every buffer has room, and each column is moved in a loop that does
//! nothing else.

use snapline_core::{Batch, KeyGroup, MaxParallelism, SubtaskIndex};

/// Finds the channels of keys.
pub(super) struct ByKey {
    max_parallelism: MaxParallelism,
    owners: Owners,
    /// The channel of each record of the batch that is being dealt out.
    channels: Vec<u16>,
    /// How many of them go to each channel.
    counts: Vec<usize>,
}

/// Which channel has a key group.
enum Owners {
    /// There are two: key groups from this one on are the second's.
    Two(KeyGroup),
    /// By key group.
    Many(Vec<u16>),
}

impl ByKey {
    pub(super) fn new(max_parallelism: MaxParallelism, channels: usize) -> Self {
        Self {
            max_parallelism,
            owners: Owners::of(max_parallelism, channels),
            channels: Vec::new(),
            counts: vec![0; channels],
        }
    }

    /// Moves the records that have these hashes, and the columns beside them, to the ends of the buffers.
    pub(super) fn deal<T>(
        &mut self,
        hashes: &[u64],
        records: impl Iterator<Item = T>,
        timestamps: impl Iterator<Item = snapline_core::Timestamp>,
        buffers: &mut [Box<Batch<T>>],
    ) {
        self.find_channels(hashes);
        for (buffer, count) in buffers.iter_mut().zip(&self.counts) {
            reserve(buffer, *count);
        }
        let channels = || self.channels.iter().map(|channel| usize::from(*channel));
        channels()
            .zip(records)
            .for_each(|(channel, record)| buffers[channel].records.push(record));
        for (channel, hash) in channels().zip(hashes) {
            if let Some(column) = &mut buffers[channel].hashes {
                column.push(*hash);
            }
        }
        for (channel, timestamp) in channels().zip(timestamps) {
            if let Some(column) = &mut buffers[channel].timestamps {
                column.push(timestamp);
            }
        }
    }

    fn find_channels(&mut self, hashes: &[u64]) {
        let max_parallelism = self.max_parallelism;
        self.channels.clear();
        self.counts.fill(0);
        match &self.owners {
            Owners::Two(second) => {
                let channel = |hash: &u64| u16::from(max_parallelism.key_group(*hash) >= *second);
                self.channels.extend(hashes.iter().map(channel));
                let seconds = self.channels.iter().map(|channel| usize::from(*channel)).sum();
                self.counts.copy_from_slice(&[hashes.len() - seconds, seconds]);
            }
            Owners::Many(owners) => {
                let channel = |hash: &u64| owners[max_parallelism.key_group(*hash).0 as usize];
                self.channels.extend(hashes.iter().map(channel));
                for channel in &self.channels {
                    self.counts[usize::from(*channel)] += 1;
                }
            }
        }
    }
}

impl Owners {
    fn of(max_parallelism: MaxParallelism, channels: usize) -> Self {
        let parallelism = channels as u32;
        if channels == 2 {
            let second = max_parallelism.range_of(SubtaskIndex(1), parallelism);
            return Self::Two(KeyGroup(second.start()));
        }
        let owner = |group| max_parallelism.subtask_of(KeyGroup(group), parallelism).0 as u16;
        Self::Many((0..max_parallelism.get()).map(owner).collect())
    }
}

fn reserve<T>(buffer: &mut Batch<T>, records: usize) {
    buffer.records.reserve(records);
    buffer.hashes.get_or_insert_default().reserve(records);
    if let Some(column) = &mut buffer.timestamps {
        column.reserve(records);
    }
}
