//! The stream that gets the messages, and what it takes.

use super::{Delivery, ExistingMessages, Guarantee};
use crate::message::NewMessage;
use crate::session::Session;
use crate::subject::{self, covers};
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use snapline_core::{Error, Result};
use std::time::Duration;

/// What the sink adds to a message: a header with its id, which has two names of up to 200 bytes, and one with the stream.
const ADDED: usize = 700;

/// What the stream takes.
#[derive(Debug)]
pub(super) struct Target {
    subjects: Vec<String>,
    /// The largest message, with what the sink adds.
    max_message: usize,
}

/// Sees whether the sink can keep its promise with this stream.
pub(super) async fn look(session: &Session, delivery: &Delivery) -> Result<Target> {
    subject::check(&delivery.subject)?;
    let config = session.stream(&delivery.stream).await?.config;
    let target = Target {
        max_message: max_message(session, &config),
        subjects: config.subjects.clone(),
    };
    target.check_subject(&delivery.subject)?;
    if config.no_ack {
        return Err(Error::invalid(
            "the stream does not acknowledge messages; switch no_ack off",
        ));
    }
    if delivery.guarantee == Guarantee::ExactlyOnce {
        check_window(&config, delivery.interval.get().copied())?;
        check_retention(&config, delivery.existing)?;
    }
    Ok(target)
}

fn max_message(session: &Session, config: &Config) -> usize {
    let of_server = session.client.max_payload();
    let of_stream = usize::try_from(config.max_message_size).ok();
    of_stream
        .filter(|max| *max > 0)
        .map_or(of_server, |max| max.min(of_server))
}

/// The next checkpoint may find on its way what the one before has published.
fn check_window(config: &Config, interval: Option<Duration>) -> Result<()> {
    let Some(interval) = interval.filter(|interval| config.duplicate_window < *interval) else {
        return Ok(());
    };
    Err(Error::invalid(
        "the stream drops duplicates for a shorter time than checkpoints are apart; raise its duplicate_window, take \
         checkpoints more often, or publish at least once",
    )
    .with("duplicate window in seconds", config.duplicate_window.as_secs_f64())
    .with("interval of checkpoints in seconds", interval.as_secs_f64()))
}

/// A commit that is repeated has to find what was published before.
fn check_retention(config: &Config, existing: ExistingMessages) -> Result<()> {
    let keeps = config.retention == RetentionPolicy::Limits && config.max_messages_per_subject <= 0;
    if keeps || existing == ExistingMessages::Keep {
        return Ok(());
    }
    Err(Error::invalid(
        "the stream does not keep its messages until its limits are reached, so that nobody can see after a crash \
         which were published; publish into a stream with retention by limits and no limit for each subject, of which \
         this one can be fed as a source, or take duplicates after crashes with ExistingMessages::Keep or at_least_once",
    )
    .with("retention", format!("{:?}", config.retention))
    .with("messages per subject", config.max_messages_per_subject))
}

impl Target {
    /// Sees whether the stream will take a message, as long as nothing can be committed yet.
    pub(super) fn check(&self, message: &NewMessage) -> Result<()> {
        if let Some(subject) = &message.subject {
            subject::check(subject)?;
            self.check_subject(subject)?;
        }
        let size = message.size() + ADDED;
        if size <= self.max_message {
            return Ok(());
        }
        Err(Error::invalid(
            "a message is larger than the server or the stream takes; make it smaller, or raise max_payload and \
             max_msg_size",
        )
        .with("bytes", size)
        .with("most", self.max_message))
    }

    fn check_subject(&self, subject: &str) -> Result<()> {
        match self.subjects.iter().any(|pattern| covers(pattern, subject)) {
            true => Ok(()),
            false => Err(Error::invalid(
                "the stream does not take this subject; add it to the stream, or name another",
            )
            .with("subject", subject)
            .with("subjects of the stream", self.subjects.join(", "))),
        }
    }
}
