//! What is made of the contents of a window.

use crate::operator::collector::Collector;
use snapline_core::{Result, Timestamp, Watermark};

/// The window whose contents are emitted, and the moment in which they are.
#[derive(Debug)]
pub struct WindowContext<'a, W> {
    window: &'a W,
    watermark: Watermark,
    processing_time: Timestamp,
}

impl<'a, W> WindowContext<'a, W> {
    pub(crate) fn new(window: &'a W, watermark: Watermark, processing_time: Timestamp) -> Self {
        Self {
            window,
            watermark,
            processing_time,
        }
    }

    /// The window.
    pub fn window(&self) -> &W {
        self.window
    }

    /// How far event time has come.
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of now. After a failure contents may be emitted again at another time.
    pub fn processing_time(&self) -> Timestamp {
        self.processing_time
    }
}

/// Whether a function may send records to side outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendsAside {
    Yes,
    No,
}

/// Takes a key, a window and its contents, and emits what it likes.
pub(crate) trait WindowFunction<K, W, I, U>: Clone + Send + Sync + 'static {
    const MAY_SEND_ASIDE: SendsAside;

    fn call(
        &mut self,
        key: &K,
        window: &WindowContext<'_, W>,
        contents: I,
        out: &mut Collector<'_, U>,
    ) -> Result<()>;
}

/// Emits the contents as they are.
#[derive(Clone)]
pub(crate) struct AsTheyAre;

impl<K, W, U> WindowFunction<K, W, U, U> for AsTheyAre {
    const MAY_SEND_ASIDE: SendsAside = SendsAside::No;

    fn call(
        &mut self,
        _: &K,
        _: &WindowContext<'_, W>,
        contents: U,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        out.collect(contents);
        Ok(())
    }
}

/// A function of the user.
#[derive(Clone)]
pub(crate) struct Called<F>(pub(crate) F);

impl<K, W, I, U, F> WindowFunction<K, W, I, U> for Called<F>
where
    F: FnMut(&K, &WindowContext<'_, W>, I, &mut Collector<'_, U>) -> Result<()>
        + Clone
        + Send
        + Sync
        + 'static,
{
    const MAY_SEND_ASIDE: SendsAside = SendsAside::Yes;

    fn call(
        &mut self,
        key: &K,
        window: &WindowContext<'_, W>,
        contents: I,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        (self.0)(key, window, contents, out)
    }
}

/// Another function, when an evictor has left anything.
#[derive(Clone)]
pub(crate) struct IfAny<F>(pub(crate) F);

impl<K, W, I, U, F: WindowFunction<K, W, I, U>> WindowFunction<K, W, Option<I>, U> for IfAny<F> {
    const MAY_SEND_ASIDE: SendsAside = F::MAY_SEND_ASIDE;

    fn call(
        &mut self,
        key: &K,
        window: &WindowContext<'_, W>,
        contents: Option<I>,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        match contents {
            Some(contents) => self.0.call(key, window, contents, out),
            None => Ok(()),
        }
    }
}
