//! One task of the job, and how it carries out what its aligner decides.

use super::{ATTEMPT, Item, Mutation, Network};
use snapline_barrier::{
    AlignmentAction, BarrierAligner, BarrierHandler, ChannelCut, ChannelIndex, ChannelReceiver,
    ChannelStateRecorder, CutViolation, EndOfInputRule, ProtocolViolation, RecordedRun, TaskClock, TaskCut,
    TaskHistory, verify_aligned_cut, verify_unaligned_cut,
};
use snapline_core::{BarrierAlignment, CheckpointId, ConsistencyProof};

/// Whether tasks check their own cuts, or leave that to the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalChecks {
    On,
    Off,
}

/// Who has noticed that something went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    ByTask(ProtocolViolation),
    ByCoordinator(CutViolation),
}

impl From<ProtocolViolation> for Caught {
    fn from(violation: ProtocolViolation) -> Self {
        Self::ByTask(violation)
    }
}

impl From<CutViolation> for Caught {
    fn from(violation: CutViolation) -> Self {
        Self::ByCoordinator(violation)
    }
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) history: TaskHistory,
    pub(super) handler: BarrierAligner,
    pub(super) receivers: Vec<ChannelReceiver>,
    pub(super) recorder: ChannelStateRecorder<()>,
    /// Channels, by input.
    pub(super) inputs: Vec<usize>,
    /// Channels, by output.
    pub(super) outputs: Vec<usize>,
    pub(super) blocked: Vec<bool>,
    /// What the newest barrier of each input counted.
    pub(super) sent: Vec<u64>,
    /// The newest checkpoint of a source.
    pub(super) latest: CheckpointId,
    frozen: Option<Frozen>,
    pub(super) acknowledged: Option<TaskCut>,
}

#[derive(Debug)]
struct Frozen {
    checkpoint: CheckpointId,
    received: Vec<u64>,
    clock: Option<TaskClock>,
}

impl Task {
    pub(super) fn new(position: u32, tasks: u32, proof: ConsistencyProof) -> Self {
        Self {
            history: TaskHistory::new(proof, position, tasks),
            handler: BarrierAligner::new(0, EndOfInputRule::StandsIn),
            receivers: Vec::new(),
            recorder: ChannelStateRecorder::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            blocked: Vec::new(),
            sent: Vec::new(),
            latest: CheckpointId::NONE,
            frozen: None,
            acknowledged: None,
        }
    }

    pub(super) fn add_input(&mut self, channel: usize) -> usize {
        let input = self.inputs.len();
        self.inputs.push(channel);
        self.blocked.push(false);
        self.sent.push(0);
        let index = ChannelIndex(input as u32);
        self.receivers.push(ChannelReceiver::new(index, ATTEMPT));
        self.handler = BarrierAligner::new(input as u32 + 1, EndOfInputRule::StandsIn);
        input
    }

    pub(super) fn is_source(&self) -> bool {
        self.inputs.is_empty()
    }
}

impl Network {
    pub(super) fn carry_out(&mut self, task: usize, actions: Vec<AlignmentAction>) -> Result<(), Caught> {
        let mut prioritized = Vec::new();
        for action in actions {
            match action {
                AlignmentAction::Block(ChannelIndex(input)) => {
                    let (input, outputs) = (input as usize, self.tasks[task].outputs.len());
                    self.tasks[task].blocked[input] = !self.mutation.leaves_open(task, input, outputs);
                }
                AlignmentAction::Unblock(channel) => self.tasks[task].blocked[channel.as_usize()] = false,
                AlignmentAction::Snapshot { barrier, .. } => {
                    self.process_one_more(task)?;
                    self.freeze(task, barrier.checkpoint, barrier.options.alignment)?;
                    self.mutation.on_snapshot(task);
                    self.forward(task, barrier);
                }
                AlignmentAction::Prioritize(channel) => prioritized.push(channel.as_usize()),
                AlignmentAction::Record { checkpoint, channel } => {
                    self.tasks[task].recorder.start(checkpoint, channel).unwrap();
                }
                AlignmentAction::StopRecording { checkpoint, channel } => {
                    self.stop_recording(task, checkpoint, channel);
                }
                AlignmentAction::Complete { checkpoint } => self.acknowledge(task, checkpoint)?,
                other => panic!("{other:?} although nothing is given up"),
            }
        }
        self.acknowledge_early(task)?;
        prioritized
            .into_iter()
            .try_for_each(|input| self.overtake(task, input))
    }

    /// Notes where the task stands, unless a snapshot was taken too early.
    pub(super) fn freeze(
        &mut self,
        task: usize,
        checkpoint: CheckpointId,
        alignment: BarrierAlignment,
    ) -> Result<(), Caught> {
        let task = &mut self.tasks[task];
        if task.frozen.is_some() {
            return Ok(());
        }
        let received = match (self.checks, alignment) {
            (LocalChecks::Off, _) => task.receivers.iter().map(ChannelReceiver::received).collect(),
            (_, BarrierAlignment::Unaligned) => verify_unaligned_cut(&task.receivers, checkpoint)?,
            _ => verify_aligned_cut(&task.receivers, checkpoint)?,
        };
        task.frozen = Some(Frozen {
            checkpoint,
            received,
            clock: task.history.on_snapshot(),
        });
        Ok(())
    }

    /// The batches that the barrier has just overtaken are those that are still to come before it.
    fn stop_recording(&mut self, task: usize, checkpoint: CheckpointId, channel: ChannelIndex) {
        let input = channel.as_usize();
        let task = &mut self.tasks[task];
        let sent = task.sent[input];
        for item in &self.channels[task.inputs[input]].queue {
            if let Item::Batch(header, _) = item
                && header.epoch < checkpoint
            {
                assert!(header.seq < sent);
                task.recorder.on_overtaken(checkpoint, channel, header.seq, ());
            }
        }
        task.recorder.stop(checkpoint, channel);
    }

    fn acknowledge(&mut self, index: usize, checkpoint: CheckpointId) -> Result<(), Caught> {
        let task = &mut self.tasks[index];
        let frozen = task.frozen.take().unwrap();
        assert_eq!(frozen.checkpoint, checkpoint);
        let mut runs: Vec<Vec<RecordedRun>> = vec![Vec::new(); task.inputs.len()];
        for recorded in task.recorder.take(checkpoint) {
            runs[recorded.channel.as_usize()] = recorded.runs();
        }
        self.lose_last_of_log(&mut runs);
        let task = &mut self.tasks[index];
        let mut channels = Vec::new();
        for (input, (received, recorded)) in frozen.received.into_iter().zip(runs).enumerate() {
            channels.push(match self.checks {
                LocalChecks::On => task.receivers[input].recorded_cut(checkpoint, received, recorded)?,
                LocalChecks::Off => ChannelCut {
                    received,
                    sent: if self.mutation.forges(index, input) {
                        received
                    } else {
                        task.sent[input]
                    },
                    recorded,
                },
            });
        }
        let clock = frozen.clock.filter(|_| !self.mutation.hides_clock(index));
        task.acknowledged = Some(TaskCut { clock, channels });
        Ok(())
    }

    fn acknowledge_early(&mut self, task: usize) -> Result<(), Caught> {
        let pending = self.tasks[task].handler.pending();
        match (&self.tasks[task].frozen, pending.first()) {
            (Some(_), Some(checkpoint))
                if self.checks == LocalChecks::On && self.mutation.is_due(Mutation::AcknowledgeEarly) =>
            {
                self.mutation.done();
                self.acknowledge(task, *checkpoint)
            }
            _ => Ok(()),
        }
    }

    /// What a task that does not check itself would acknowledge a moment before its log is complete.
    fn lose_last_of_log(&mut self, runs: &mut [Vec<RecordedRun>]) {
        if self.checks == LocalChecks::Off
            && self.mutation.is_due(Mutation::AcknowledgeEarly)
            && let Some(log) = runs.iter_mut().find(|log| !log.is_empty())
        {
            self.mutation.done();
            log.pop_if(|run| {
                run.to -= 1;
                run.from == run.to
            });
        }
    }
}
