//! Windows that merge and emit once, at their end: the fast way for sessions of event time.
//!
//! All open sessions of a key are one entry of its state. The index of when they end is not told when a session becomes longer: it
//! is looked at when it would have ended, and again when it does.

mod open;

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::operator::keyed_state::no_hashes;
use crate::operator::located::Place;
use crate::operator::once::{EmitsOnce, OnceFrame, OnceLink};
use crate::operator::window::{no_timestamp, side_outputs};
use crate::outlets::SideOutputs;
use crate::output_tag::OutputTag;
use crate::window::Window;
use crate::window::assigner::WindowAssigner;
use crate::window::contents::Contents;
use crate::window::function::{WindowContext, WindowFunction};
use async_trait::async_trait;
use open::{Arrival, OpenSessions};
use snapline_core::{Batch, Data, Error, Key, Keyed, Result};
use snapline_state::Slot;
use std::marker::PhantomData;

/// Windows that merge, one for each record.
pub(crate) struct SessionsOf<A, C, F, K, T, U> {
    pub(crate) assigner: A,
    pub(crate) contents: C,
    pub(crate) function: F,
    /// Where late records go, if not nowhere.
    pub(crate) late: Option<OutputTag<T>>,
    pub(crate) types: PhantomData<fn(K, T) -> U>,
}

#[async_trait]
impl<A, C, F, K, T, U> OperatorFactory for SessionsOf<A, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let sessions = Sessions {
            assigner: self.assigner.clone(),
            contents: self.contents.clone(),
            function: self.function.clone(),
            assigned: Vec::new(),
            windows: Vec::new(),
        };
        let link: OnceLink<_, K, T, U> = OnceLink::open(sessions, self.late.clone(), context, next).await?;
        Ok(place.link::<Keyed<K, T>>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        side_outputs(F::MAY_SEND_ASIDE, self.late.as_ref())
    }
}

struct Sessions<A: WindowAssigner<T>, C, F, T> {
    assigner: A,
    contents: C,
    function: F,
    /// The windows of one record, and those of a batch.
    assigned: Vec<A::Window>,
    windows: Vec<A::Window>,
}

impl<A: WindowAssigner<T>, C, F, T> Sessions<A, C, F, T> {
    /// Notes the window of each record.
    fn assign<K>(&mut self, batch: &Batch<Keyed<K, T>>) -> Result<()> {
        self.windows.clear();
        let timestamps = batch.timestamps.as_deref().ok_or_else(no_timestamp)?;
        for (keyed, at) in batch.records.iter().zip(timestamps) {
            self.assigner.assign(&keyed.record, *at, &mut self.assigned)?;
            let window = self.assigned.pop().filter(|_| self.assigned.is_empty());
            self.windows.push(window.ok_or_else(not_one_window)?);
        }
        Ok(())
    }
}

#[cold]
fn not_one_window() -> Error {
    Error::invalid(
        "an assigner says that each record has one window, and has assigned none or several; let `has_one_window` return \
         false",
    )
}

impl<A, C, F, K, T, U> EmitsOnce<K, T, U> for Sessions<A, C, F, T>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    type Open = OpenSessions<A::Window, C::Stored>;

    fn add(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        frame: &mut OnceFrame<K, Self::Open, T, U>,
    ) -> Result<()> {
        self.assign(batch)?;
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let arrivals = self.windows.drain(..).zip(batch.timestamps.iter().flatten());
        let entries = batch.records.drain(..).zip(arrivals).zip(hashes);
        let entries = entries.map(|((Keyed { key, record }, (window, at)), hash)| {
            let at = *at;
            (key.clone(), (key, *hash, Arrival { window, record, at }))
        });
        let (contents, watermark, mut failure) = (&self.contents, frame.watermark(), Ok(()));
        let (mut table, ends, late) = frame.parts()?;
        let mut open = |Arrival { window, record, at }: Arrival<A::Window, T>| {
            if window.max_timestamp() > watermark.0 {
                return Some((window, contents.first(record, Some(at))));
            }
            late.push(record, at);
            None
        };
        table.update_each(hashes, entries, |(key, hash, arrival), slot| match slot {
            Slot::Occupied(known) => match known.add(contents, arrival) {
                Ok(None) => {}
                Ok(Some(rest)) => {
                    if let Some((window, stored)) = open(rest)
                        && let Some(due) = known.open(window, stored)
                    {
                        ends.add(due, hash, key);
                    }
                }
                Err(error) => failure = Err(error),
            },
            Slot::Vacant(vacant) => {
                if let Some((window, stored)) = open(arrival) {
                    ends.add(open::end(&window), hash, key);
                    *vacant = Some(OpenSessions::new(window, stored));
                }
            }
        })?;
        failure
    }

    fn emit(
        &mut self,
        end: i64,
        keys: Vec<(u64, K)>,
        frame: &mut OnceFrame<K, Self::Open, T, U>,
    ) -> Result<()> {
        let (contents, function) = (&self.contents, &mut self.function);
        let (watermark, now) = (frame.watermark(), frame.now());
        frame.emit_due(end, keys, |key, open, out| {
            if let Some((window, stored)) = open.take_ended(end) {
                let output = contents.emit_last(stored, &window);
                let context = WindowContext::new(&window, watermark, now);
                out.at(Some(window.max_timestamp()));
                function.call(key, &context, output, out)?;
            }
            Ok(open.look_again())
        })
    }
}
