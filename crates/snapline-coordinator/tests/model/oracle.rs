//! What has to hold, told by following records from task to task. Knows nothing of counts, barriers and clocks.

use crate::job::{Job, Role};
use crate::outside::Image;
use crate::promise::{Outcome, Promise};
use crate::record::Bag;
use crate::task::TaskState;
use crate::world::World;
use snapline_core::{BarrierAlignment, CheckpointId};

impl World {
    /// The snapshots belong together: what the senders have sent according to their states is what the
    /// receivers have got according to theirs, or it is in flight; once each.
    pub(crate) fn check_cut(&self, image: &Image, checkpoint: CheckpointId) -> Outcome {
        let states: Vec<&TaskState> = image.tasks.iter().map(|task| &task.state).collect();
        let recorded = |channel: usize| {
            let edge = self.job.channels[channel];
            let recorded = image.tasks[edge.to].recorded.iter();
            let of_channel = recorded.filter(|(input, _)| *input == edge.input);
            let mut bag = Bag::default();
            of_channel.for_each(|(_, records)| bag.extend(records.iter().copied()));
            bag
        };
        self.check_flow(&states, recorded)
            .map_err(|error| Promise::ConsistentCut.broken(format!("checkpoint {checkpoint}: {error}")))
    }

    /// Everything was processed: by each task, and as everybody can see.
    pub(crate) fn check_effects(&self) -> Outcome {
        let states: Vec<&TaskState> = self.tasks.iter().map(|task| &task.state).collect();
        self.check_flow(&states, |_| Bag::default())?;
        let expected = expected_output(&self.job);
        let mut output = self.outside.output.clone();
        for task in self.tasks.iter() {
            output.extend(task.open.0.iter().copied());
            let promised = task.transactions.iter();
            let promised = promised.filter(|transaction| !self.outside.is_committed(transaction));
            promised.for_each(|transaction| output.extend(transaction.records.0.iter().copied()));
        }
        self.compare("the output", &expected, &output)
    }

    /// Nothing is in the output twice.
    pub(crate) fn check_output(&self) -> Outcome {
        let twice = self.outside.output.without(&expected_output(&self.job));
        if twice.is_empty() || self.job.alignment == BarrierAlignment::AtLeastOnce {
            return Ok(());
        }
        Err(Promise::NoDuplicate.broken(format!("the output has {twice} twice")))
    }

    fn check_flow(&self, states: &[&TaskState], in_flight: impl Fn(usize) -> Bag) -> Outcome {
        let sent = sent(&self.job, states);
        for (channel, sent) in sent.iter().enumerate() {
            let edge = self.job.channels[channel];
            let mut got = in_flight(channel);
            let seen = states[edge.to].seen.get(edge.input);
            got.extend(seen.into_iter().flat_map(|bag| bag.0.iter().copied()));
            self.compare(&self.job.channel_name(channel), sent, &got)?;
        }
        Ok(())
    }

    fn compare(&self, place: &str, sent: &Bag, got: &Bag) -> Outcome {
        let (lost, extra) = (sent.without(got), got.without(sent));
        if !lost.is_empty() {
            return Err(Promise::NoLoss.broken(format!("{place}: {lost} is lost")));
        }
        if !extra.is_empty() && self.job.alignment != BarrierAlignment::AtLeastOnce {
            return Err(Promise::NoDuplicate.broken(format!("{place}: {extra} is there twice or too early")));
        }
        Ok(())
    }
}

/// What tasks in these states have sent, by channel.
fn sent(job: &Job, states: &[&TaskState]) -> Vec<Bag> {
    let mut bags = vec![Bag::default(); job.channels.len()];
    for (task, state) in states.iter().enumerate() {
        let read = (0..state.read).map(|read| Job::record(task, read));
        let seen = state.seen.iter().flat_map(|bag| bag.0.iter().copied());
        for (channel, record) in read.chain(seen).filter_map(|record| job.route(task, record)) {
            bags[channel].insert(record);
        }
    }
    bags
}

fn expected_output(job: &Job) -> Bag {
    let mut output = Bag::default();
    for (channel, bag) in job.expected().into_iter().enumerate() {
        if job.tasks[job.channels[channel].to].role == Role::Sink {
            output.extend(bag.0);
        }
    }
    output
}
