//! What is broken on purpose, so that the exploration has something to find.

/// One thing that is broken. Tasks and inputs are given by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// A task never blocks one of its channels.
    SkipAlignment(usize, u32),
    /// A task does not record one of its channels.
    ForgetRecord(usize, u32),
    /// A task leaves out of its snapshot what a barrier overtook.
    ForgetOvertaken(usize),
    /// A source reads another record between its snapshot and its barrier.
    ForwardLate(usize),
    /// The barriers of a task tell of one batch less than it has sent.
    MiscountSent(usize),
    /// A task acknowledges at its snapshot.
    AcknowledgeEarly(usize),
    /// A task does not wait for the barrier of its last channel.
    CountOneLess(usize),
    /// A task forwards no cancel markers.
    DropCancel(usize),
    /// A task does nothing when its time has come.
    SleepOn(usize),
    /// The acknowledgements of a task get lost.
    LoseAcknowledgement(usize),
    /// A sink commits when it should promise to.
    CommitAtSnapshot,
    /// The head of a loop takes the back edge for any other input.
    AlignBackEdge,
    /// The head of a loop forwards the barrier that comes back.
    ForwardAgain,
    /// The coordinator does not wait for the acknowledgement of a task.
    CompleteWithout(usize),
    /// The coordinator commits before it publishes.
    CommitBeforeClaim,
    /// A restart does not put back what was in flight.
    ForgetInFlight,
}
