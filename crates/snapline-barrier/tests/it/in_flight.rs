//! Unaligned checkpoints and timeouts: handler, recorder and channel ends driven together by a model
//! of a gate whose barriers can overtake, against an oracle that looks at the whole history.

mod doubles;
mod gate;
mod interleavings;
mod oracle;
mod plan;
mod random;
mod scenarios;
