//! What a task puts on its channels.

use crate::promise::{Outcome, Promise};
use crate::record::Record;
use crate::world::World;
use snapline_barrier::ChannelSender;
use snapline_core::{CheckpointId, Frame, StreamElement};

impl World {
    /// Sends what becomes of a record.
    pub(crate) fn send_on(&mut self, index: usize, record: Record) -> Outcome {
        if let Some((channel, record)) = self.job.route(index, record) {
            let output = self.job.tasks[index]
                .outputs
                .iter()
                .position(|output| *output == channel);
            let task = &mut *self.tasks[index];
            let (sender, clock) = &mut task.senders[output.unwrap()];
            let frame = Frame {
                header: sender.next_header(),
                clock: task.history.on_send(clock),
                element: StreamElement::Batch(record),
            };
            self.channels[channel].queue.push_back(frame);
        }
        Ok(())
    }

    pub(crate) fn put_marker(
        &mut self,
        index: usize,
        checkpoint: CheckpointId,
        element: impl Fn(&mut ChannelSender) -> StreamElement<Record>,
    ) -> Outcome {
        let job = self.job.clone();
        let task = &mut *self.tasks[index];
        for ((sender, _), channel) in task.senders.iter_mut().zip(&job.tasks[index].outputs) {
            let header = sender.header();
            if header.epoch >= checkpoint {
                let name = job.channel_name(*channel);
                return Err(Promise::Protocol.broken(format!(
                    "marker {checkpoint} goes out again on {name}, behind {}",
                    header.epoch
                )));
            }
            self.channels[*channel].queue.push_back(Frame {
                header,
                clock: None,
                element: element(sender),
            });
        }
        Ok(())
    }
}
