//! Behaviour of the barrier handlers and channel checks, through the public interface alone.
#![expect(clippy::unwrap_used, reason = "all of this is tests")]

mod channels;
mod clocks;
mod consistency;
mod cuts;
mod doubles;
mod gate;
mod history;
mod in_flight;
mod interleavings;
mod loops;
mod marbles;
mod network;
mod overtaking;
mod random;
mod scenarios;
mod script;
mod sent;
