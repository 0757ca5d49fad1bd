//! Windows of a fixed size that emit once, at their end: the fast way for the usual ones.
//!
//! The time of a key is cut into slices of the step from one window to the next, and a record is added to one slice,
//! however many windows it is in. A window is put together of its slices when it ends (Li et al., "No pane, no gain",
//! 2005).

mod slices;

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::operator::keyed_state::no_hashes;
use crate::operator::located::Place;
use crate::operator::once::{EmitsOnce, Late, OnceFrame, OnceLink, OpenWindows};
use crate::operator::window::{no_timestamp, side_outputs};
use crate::outlets::SideOutputs;
use crate::output_tag::OutputTag;
use crate::window::Window;
use crate::window::contents::Contents;
use crate::window::function::{WindowContext, WindowFunction};
use crate::window::slicing::Slicing;
use async_trait::async_trait;
use slices::{Slices, Span};
use snapline_core::{Batch, Data, Key, Keyed, Result, Timestamp, Watermark};
use snapline_state::Slot;
use std::marker::PhantomData;

/// Windows of which each record adds to one slice.
pub(crate) struct SlicedOf<W, C, F, K, T, U> {
    pub(crate) slicing: Slicing<W>,
    pub(crate) contents: C,
    pub(crate) function: F,
    /// Where late records go, if not nowhere.
    pub(crate) late: Option<OutputTag<T>>,
    pub(crate) types: PhantomData<fn(K, T) -> U>,
}

#[async_trait]
impl<W, C, F, K, T, U> OperatorFactory for SlicedOf<W, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    W: Window,
    C: Contents<T, W>,
    F: WindowFunction<K, W, C::Output, U>,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let sliced = Sliced {
            slicing: self.slicing,
            contents: self.contents.clone(),
            function: self.function.clone(),
            starts: Vec::new(),
        };
        let link: OnceLink<_, K, T, U> = OnceLink::open(sliced, self.late.clone(), context, next).await?;
        Ok(place.link::<Keyed<K, T>>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        side_outputs(F::MAY_SEND_ASIDE, self.late.as_ref())
    }
}

struct Sliced<W, C, F> {
    slicing: Slicing<W>,
    contents: C,
    function: F,
    /// Where the slices of the records of a batch begin.
    starts: Vec<i64>,
}

impl<W: Window, C, F> Sliced<W, C, F> {
    /// Sets late records aside and notes the slices of the others.
    fn set_late_aside<K, T>(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        watermark: Watermark,
        late: &mut Late<T>,
    ) -> Result<()> {
        self.starts.clear();
        let timestamps = batch.timestamps.as_deref().ok_or_else(no_timestamp)?;
        let mut all_fit = true;
        let (mut start, mut end, mut fits) = (0, 0, false);
        for at in timestamps {
            // Neighbours are mostly in the same slice.
            if at.0 < start || at.0 >= end {
                start = self.slicing.slice(*at);
                end = self.slicing.slice_end(start);
                fits = self.fits(start, watermark);
            }
            all_fit &= fits;
            self.starts.push(start);
        }
        if all_fit {
            return Ok(());
        }
        let keep: Vec<bool> = self
            .starts
            .iter()
            .map(|start| self.fits(*start, watermark))
            .collect();
        for (index, (keyed, keep)) in std::mem::take(&mut batch.records)
            .into_iter()
            .zip(&keep)
            .enumerate()
        {
            let at = timestamps[index];
            if *keep {
                batch.records.push(keyed);
            } else if at <= watermark.0 {
                late.push(keyed.record, at);
            }
        }
        retain(&mut self.starts, &keep);
        if let Some(hashes) = &mut batch.hashes {
            retain(hashes, &keep);
        }
        if let Some(timestamps) = &mut batch.timestamps {
            retain(timestamps, &keep);
        }
        Ok(())
    }

    /// Whether a slice is in a window that has not ended.
    fn fits(&self, start: i64, watermark: Watermark) -> bool {
        let last = self.slicing.last_end(start);
        last.is_some_and(|end| end - 1 > watermark.0.0)
    }
}

fn retain<V>(column: &mut Vec<V>, keep: &[bool]) {
    let mut verdicts = keep.iter();
    column.retain(|_| verdicts.next().is_none_or(|keep| *keep));
}

impl<W, C, F, K, T, U> EmitsOnce<K, T, U> for Sliced<W, C, F>
where
    K: Key,
    T: Data,
    U: Data,
    W: Window,
    C: Contents<T, W>,
    F: WindowFunction<K, W, C::Output, U>,
{
    type Open = Slices<C::Stored>;

    fn add(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        frame: &mut OnceFrame<K, Self::Open, T, U>,
    ) -> Result<()> {
        let watermark = frame.watermark();
        self.set_late_aside(batch, watermark, &mut frame.late)?;
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let (contents, slicing, mut failure) = (&self.contents, &self.slicing, Ok(()));
        let timestamps = batch.timestamps.iter().flatten();
        let places = self.starts.iter().zip(hashes).zip(timestamps);
        let entries = batch.records.drain(..).zip(places).map(|(keyed, place)| {
            let Keyed { key, record } = keyed;
            (key.clone(), (key, record, place))
        });
        let (mut table, ends, _) = frame.parts()?;
        table.update_each(hashes, entries, |(key, record, ((start, hash), at)), slot| {
            let (start, at) = (*start, *at);
            match slot {
                Slot::Occupied(slices) => {
                    if let Some(record) = slices.add(contents, start, record, at) {
                        let first = contents.first(record, Some(at));
                        if let Err(error) = slices.insert(contents, start, first) {
                            failure = Err(error);
                        }
                        let due = slicing.first_end(start, watermark);
                        if due < slices.due() {
                            slices.set_due(due);
                            ends.add(due, *hash, key);
                        }
                    }
                }
                Slot::Vacant(vacant) => {
                    let due = slicing.first_end(start, watermark);
                    *vacant = Some(Slices::new(due, start, contents.first(record, Some(at))));
                    ends.add(due, *hash, key);
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
        let (contents, slicing, function) = (&self.contents, &self.slicing, &mut self.function);
        let window = slicing.window(end);
        let span = Span {
            start: slicing.start_of(end),
            end,
            kept_from: slicing.kept_from(end),
        };
        if !slicing.is_tumbling() {
            frame.look_ahead(&keys, Slices::fetch)?;
        }
        let context = WindowContext::new(&window, frame.watermark(), frame.now());
        frame.emit_due(end, keys, |key, slices, out| {
            out.at(Some(window.max_timestamp()));
            if let Some(output) = slices.window(contents, span, &window)? {
                function.call(key, &context, output, out)?;
            }
            Ok(slices.oldest().map(|oldest| {
                let due = slicing.first_end(oldest, Watermark(Timestamp(end - 1)));
                slices.set_due(due);
                due
            }))
        })
    }
}
