//! The proof that the cuts of all tasks belong together.

use super::{ChannelCut, TaskCut};
use crate::violation::CutViolation;
use snapline_core::{BarrierAlignment, SubtaskId};

/// Proof that the snapshots of one checkpoint are a consistent cut, and on what it rests. Nothing but
/// [`Self::verify`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsistentCut {
    /// How many tasks told of their cut.
    pub tasks: usize,
    /// How many channels were compared.
    pub channels: usize,
    /// How many vector clocks were compared: 0 where the counts of the channels alone are the proof.
    pub clocks: usize,
    /// How many batches are channel state.
    pub recorded: u64,
}

/// A task that keeps a clock.
#[derive(Clone, Copy)]
struct Timed<'a> {
    position: u32,
    task: &'a SubtaskId,
    cut: &'a TaskCut,
}

impl Timed<'_> {
    /// How many events of the task at this position are in the snapshot of this one.
    fn seen(&self, position: u32) -> u64 {
        let clock = self.cut.clock.as_ref();
        clock.map_or(0, |clock| clock.clock.get(position))
    }
}

impl ConsistentCut {
    /// Compares what all tasks of one checkpoint acknowledged.
    ///
    /// * Channels: the snapshot of the receiver has every batch that was sent before the barrier, in
    ///   its state or as channel state, once and in order, and no other. At least once: it lacks none.
    /// * Clocks: no task has seen an event of another one that happened after that one's cut, directly
    ///   or through others (Mattern 1989: the cut is consistent if and only if `V_i[i] >= V_j[i]` for
    ///   all tasks i and j). Tasks without a clock are passed over; at least once promises no cut.
    ///
    /// The same function works offline on any stored checkpoint. Linear in the channels, quadratic in
    /// the tasks that keep clocks.
    ///
    /// # Errors
    /// The first contradiction, channels before clocks, each in the given order of the tasks.
    ///
    /// # Examples
    ///
    /// The counts of all channels are right, and yet the sink knows of a batch that the source sent
    /// after its own snapshot:
    ///
    /// ```
    /// use snapline_barrier::{ConsistentCut, CutViolation, TaskClock, TaskCut, VectorClock};
    /// use snapline_core::{BarrierAlignment, OperatorUid, SubtaskId, SubtaskIndex};
    ///
    /// let id = |uid: &str| SubtaskId { operator: OperatorUid::new(uid).unwrap(), index: SubtaskIndex(0) };
    /// let cut = |task, entries: [u64; 2]| {
    ///     let clock = VectorClock::from_iter(entries);
    ///     TaskCut { clock: Some(TaskClock { task, clock }), channels: vec![] }
    /// };
    /// let (source, sink) = (id("source"), id("sink"));
    /// let verify = |of_source: &TaskCut, of_sink: &TaskCut| {
    ///     ConsistentCut::verify([(&source, of_source), (&sink, of_sink)], BarrierAlignment::Aligned)
    /// };
    ///
    /// assert_eq!(verify(&cut(0, [7, 0]), &cut(1, [7, 3]))?.clocks, 2);
    /// assert_eq!(
    ///     verify(&cut(0, [7, 0]), &cut(1, [8, 3])),
    ///     Err(CutViolation::Future { known: source.clone(), by: sink.clone(), seen: 8, cut: 7 })
    /// );
    /// # Ok::<(), snapline_core::Error>(())
    /// ```
    pub fn verify<'a>(
        cuts: impl IntoIterator<Item = (&'a SubtaskId, &'a TaskCut)>,
        alignment: BarrierAlignment,
    ) -> Result<Self, CutViolation> {
        let mut proof = Self {
            tasks: 0,
            channels: 0,
            clocks: 0,
            recorded: 0,
        };
        let mut timed = Vec::new();
        for (task, cut) in cuts {
            proof.tasks += 1;
            for (channel, counts) in cut.channels.iter().enumerate() {
                check_channel(counts, alignment).map_err(|flaw| CutViolation::Channel {
                    task: task.clone(),
                    channel,
                    flaw,
                })?;
                proof.channels += 1;
                proof.recorded = proof.recorded.saturating_add(recorded(counts));
            }
            if let Some(clock) = &cut.clock {
                let position = clock.task;
                timed.push(Timed { position, task, cut });
            }
        }
        if alignment != BarrierAlignment::AtLeastOnce {
            check_positions(&timed)?;
            check_clocks(&timed)?;
            proof.clocks = timed.len();
        }
        Ok(proof)
    }
}

fn check_channel(cut: &ChannelCut, alignment: BarrierAlignment) -> Result<(), super::ChannelFlaw> {
    match alignment {
        BarrierAlignment::AtLeastOnce => cut.check_at_least_once(),
        _ => cut.check_exact(),
    }
}

fn recorded(cut: &ChannelCut) -> u64 {
    cut.recorded.iter().map(|run| run.to - run.from).sum()
}

fn check_positions(timed: &[Timed<'_>]) -> Result<(), CutViolation> {
    let mut sorted = timed.to_vec();
    sorted.sort_by_key(|timed| timed.position);
    match sorted
        .windows(2)
        .find(|pair| pair[0].position == pair[1].position)
    {
        None => Ok(()),
        Some(pair) => Err(CutViolation::SamePosition {
            position: pair[0].position,
            first: pair[0].task.clone(),
            second: pair[1].task.clone(),
        }),
    }
}

fn check_clocks(timed: &[Timed<'_>]) -> Result<(), CutViolation> {
    for known in timed {
        let cut = known.seen(known.position);
        if let Some(by) = timed.iter().find(|by| by.seen(known.position) > cut) {
            return Err(CutViolation::Future {
                known: known.task.clone(),
                by: by.task.clone(),
                seen: by.seen(known.position),
                cut,
            });
        }
    }
    Ok(())
}
