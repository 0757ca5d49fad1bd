//! Which steps need not be tried in every order, because nobody could tell the difference.

use crate::task::Control;
use crate::world::{Step, World};

impl World {
    /// What can happen; or only one step, where all orders of it and everything else lead to the same.
    ///
    /// * A source that is never asked for a checkpoint again reads at once: it alone puts something on its
    ///   channels, at the end, and takes nothing that others wait for.
    /// * A task takes a record at once when neither it nor any task behind it gets a marker any more: from
    ///   then on they keep records without an order.
    ///
    /// A crash does not depend on either: it leaves nothing of tasks and channels. It comes afterwards.
    pub(crate) fn possible(&self) -> Vec<Step> {
        let steps = self.all_possible();
        let mut free = steps
            .iter()
            .filter(|step| self.outside.triggers == 0 && self.is_free(**step));
        match free.next() {
            Some(step) => vec![*step],
            None => steps,
        }
    }

    fn is_free(&self, step: Step) -> bool {
        match step {
            Step::Read(source) => self.is_settled(source),
            Step::Deliver(channel) => self
                .job
                .reach(self.job.channels[channel].to)
                .all(|task| self.is_settled(task)),
            _ => false,
        }
    }

    /// Whether a task has seen every marker of this attempt, if nobody asks for a checkpoint again, and does
    /// not wait for any.
    fn is_settled(&self, index: usize) -> bool {
        let (task, plan) = (&self.tasks[index], &self.job.tasks[index]);
        let is_asked = task
            .control
            .iter()
            .any(|control| !matches!(control, Control::Complete(_)));
        let mut inputs = plan.inputs.iter();
        let has_seen_all = |channel: &usize| {
            let (edge, state) = (self.job.channels[*channel], &self.channels[*channel]);
            let outputs = &self.job.tasks[edge.from].outputs;
            let output = outputs.iter().position(|output| output == channel).unwrap();
            let (sender, _) = &self.tasks[edge.from].senders[output];
            state.first_marker().is_none() && sender.header().epoch >= self.desk.started
        };
        let is_waiting = !task.handler.pending().is_empty() || !task.taken.is_empty();
        !is_asked && !is_waiting && inputs.all(has_seen_all)
    }
}
