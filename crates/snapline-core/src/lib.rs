//! The words of Snapline.
//!
//! Everything that more than one crate has to name lives here: what travels on a stream
//! ([`Batch`], [`StreamElement`], [`Watermark`], [`CheckpointBarrier`]), who is who
//! ([`OperatorUid`], [`SubtaskIndex`], [`CheckpointId`], [`AttemptId`]), how keys are dealt out
//! ([`KeyGroup`], [`KeyGroupRange`], [`MaxParallelism`]), and how things fail ([`Error`]).
//!
//! This crate does no input or output, and only [`SystemClock`] reads the time.

mod barrier;
mod batch;
mod clock;
mod data;
mod element;
mod encoding;
mod error;
mod hash;
mod id;
mod key_group;
mod settings;
mod time;

pub use barrier::{BarrierAlignment, BarrierOptions, CheckpointBarrier, CheckpointKind};
pub use batch::{AnyBatch, Batch, BoxedBatch};
pub use clock::{Clock, ManualClock, SystemClock};
pub use data::{Data, Key, Keyed};
pub use element::{BatchHeader, ClockDelta, Frame, StreamElement};
pub use encoding::{ShortBytes, decode, encode_into};
pub use error::{Error, ErrorKind, Result};
pub use hash::{StableHasher, stable_fingerprint, stable_hash_bytes};
pub use id::{AttemptId, CheckpointId, JobId, OperatorUid, SubtaskId, SubtaskIndex};
pub use key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
pub use settings::{
    AlignmentSettings, CheckpointMode, CheckpointRetention, CheckpointSettings, ClaimMode, Codec,
    ConsistencyProof, JobSettings, RestartSettings, RestoreSettings,
};
pub use time::{Timestamp, Watermark};
