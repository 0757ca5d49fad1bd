//! Tasks that are fed by a loop: scenarios, crashes at every point, and when a loop is over.

mod crashes;
mod dataflow;
mod doubles;
mod job;
mod scenarios;
mod termination;
