//! Who uses the transactional ids of a sink, and how many there are, kept at the cluster.
//!
//! One number that a consumer group without members has as its offset says which attempt uses the ids and up to which
//! subtask and slot they were ever used. So a process that was taken over learns of it before it begins a transaction
//! and would end that of its successor; and the next start finds every id under which something may be open,
//! also when it has fewer subtasks.

use super::Options;
use super::ids::Ids;
use crate::client::{KafkaClient, TopicPartition};
use snapline_core::{AttemptId, Error, Result};

/// What is registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Registration {
    /// The newest attempt that has used the ids.
    pub(super) attempt: u64,
    /// How many subtasks have used ids.
    pub(super) subtasks: u32,
    /// How many slots of a subtask were used.
    pub(super) slots: u32,
}

/// How many bits of the number are for subtasks, and for slots.
const SUBTASKS: u32 = 20;
const SLOTS: u32 = 11;

impl Registration {
    fn pack(self) -> Result<i64> {
        let fits = self.subtasks < 1 << SUBTASKS && self.slots < 1 << SLOTS && self.attempt < 1 << 32;
        if !fits {
            return Err(Error::unsupported(
                "the sink has more subtasks, transactions or attempts than can be registered",
            )
            .with("registration", format!("{self:?}")));
        }
        let packed = (self.attempt << SUBTASKS | u64::from(self.subtasks)) << SLOTS | u64::from(self.slots);
        i64::try_from(packed).map_err(|_| Error::internal("a registration does not fit"))
    }

    fn unpack(packed: i64) -> Self {
        let packed = packed.cast_unsigned();
        let low = |bits: u64, count: u32| u32::try_from(bits & ((1 << count) - 1)).unwrap_or_default();
        Self {
            attempt: packed >> (SUBTASKS + SLOTS),
            subtasks: low(packed >> SLOTS, SUBTASKS),
            slots: low(packed, SLOTS),
        }
    }

    /// What covers both.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            attempt: self.attempt.max(other.attempt),
            subtasks: self.subtasks.max(other.subtasks),
            slots: self.slots.max(other.slots),
        }
    }
}

/// Where the tokens and the registration are: the groups need a partition that exists, and it is the sink's first.
pub(super) fn place(options: &Options) -> TopicPartition {
    TopicPartition::new(options.topic.clone(), 0)
}

/// Reads what is registered.
pub(super) async fn read(
    client: &dyn KafkaClient,
    ids: &Ids,
    place: &TopicPartition,
) -> Result<Registration> {
    let packed = client.group_offset(ids.registry(), place).await?;
    Ok(packed.map(Registration::unpack).unwrap_or_default())
}

/// Registers.
pub(super) async fn write(
    client: &dyn KafkaClient,
    ids: &Ids,
    place: &TopicPartition,
    registration: Registration,
) -> Result<()> {
    let offsets = [(place.clone(), registration.pack()?)];
    client.set_group_offsets(ids.registry(), &offsets).await
}

/// Refuses to go on when another attempt is registered that is newer.
pub(super) fn check_attempt(registered: Registration, own: AttemptId, ids: &Ids) -> Result<()> {
    if registered.attempt <= own.0 {
        return Ok(());
    }
    Err(Error::conflict(
        "the transactional ids of this sink are used by a newer attempt of the job, or by another job of the same name \
         with other checkpoints; stop that one, or give this sink a prefix of its own",
    )
    .with("prefix", ids.registry())
    .with("attempt", own)
    .with("newer", registered.attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_comes_back_from_its_number() {
        let cases = [
            (0, 0, 0),
            (1, 1, 1),
            ((1 << 32) - 1, (1 << 20) - 1, (1 << 11) - 1),
            (7, 128, 3),
        ];
        for (attempt, subtasks, slots) in cases {
            let registration = Registration {
                attempt,
                subtasks,
                slots,
            };
            assert_eq!(Registration::unpack(registration.pack().unwrap()), registration);
        }
        let too_many = Registration {
            slots: 1 << 11,
            ..Registration::default()
        };
        assert!(too_many.pack().is_err());
    }
}
