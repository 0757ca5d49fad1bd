//! How windows are made of slices of time.

use super::TimeWindow;
use super::alignment::{Alignment, clamped, window};
use snapline_core::{Timestamp, Watermark};

/// How windows of one size, which begin at fixed steps, are made of slices.
///
/// All windows that have a time have the slice of that time as a whole. What an assigner returns as
/// [`WindowAssigner::slicing`](crate::WindowAssigner::slicing) has to agree with what it assigns.
#[derive(Debug)]
pub struct Slicing<W> {
    size: i64,
    slide: Alignment,
    /// Where slices begin.
    slice: Alignment,
    window: fn(TimeWindow) -> W,
}

impl<W> Slicing<W> {
    /// Windows of this size that begin at these times.
    pub(crate) fn new(size: i64, slide: Alignment, window: fn(TimeWindow) -> W) -> Self {
        let step = greatest_common_divisor(size.max(1), slide.step.max(1));
        Self {
            size,
            slide,
            slice: Alignment { step, ..slide },
            window,
        }
    }

    /// Whether each window is a single slice.
    pub(crate) fn is_tumbling(&self) -> bool {
        self.size == self.slide.step
    }

    /// Where the slice of a time begins, or the beginning of time. The last time of all is in the slice before it: a window
    /// that begins there has no end that is a timestamp.
    #[inline]
    pub(crate) fn slice(&self, time: Timestamp) -> i64 {
        clamped(self.slice.start(time)).0.min(i64::MAX - 1)
    }

    /// Where the slice that begins at `start` ends.
    pub(crate) fn slice_end(&self, start: i64) -> i64 {
        self.slice.next(Timestamp(start)).0
    }

    /// When the last window with this slice ends; `None` when there is none.
    pub(crate) fn last_end(&self, start: i64) -> Option<i64> {
        let start = self.slice.start(Timestamp(start));
        let latest = self.slide.floor(start) + i128::from(self.size);
        (start < latest).then(|| clamped(latest).0)
    }

    /// When the first window with this slice that has not ended at a watermark does.
    pub(crate) fn first_end(&self, start: i64, watermark: Watermark) -> i64 {
        let whole = self.slice.start(Timestamp(start)) + i128::from(self.slice.step);
        let earliest = whole.max(i128::from(watermark.0.0) + 2);
        // Windows end where they begin, moved by their size.
        let step = i128::from(self.slide.step);
        let before = self.slide.floor(earliest - 1 - i128::from(self.size));
        clamped(before + step + i128::from(self.size)).0
    }

    /// The window that ends here.
    pub(crate) fn window(&self, end: i64) -> W {
        (self.window)(match end {
            i64::MAX => window(self.slide.start(Timestamp::MAX), self.size),
            end => window(i128::from(end) - i128::from(self.size), self.size),
        })
    }

    /// Where the window that ends here begins, or the beginning of time.
    pub(crate) fn start_of(&self, end: i64) -> i64 {
        end.saturating_sub(self.size)
    }

    /// From where on slices are in later windows than the one that ends here.
    pub(crate) fn kept_from(&self, end: i64) -> i64 {
        match end {
            i64::MAX => i64::MAX,
            end => clamped(i128::from(end) - i128::from(self.size) + i128::from(self.slide.step)).0,
        }
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

impl<W> Clone for Slicing<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Slicing<W> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn slicing(size: i64, slide: i64, offset: i64) -> Slicing<TimeWindow> {
        Slicing::new(size, Alignment { step: slide, offset }, |window| window)
    }

    /// The windows of a time, by their ends, as slices have them.
    fn ends(slicing: &Slicing<TimeWindow>, time: i64) -> Vec<i64> {
        let start = slicing.slice(Timestamp(time));
        let Some(last) = slicing.last_end(start) else {
            return Vec::new();
        };
        let mut ends = vec![slicing.first_end(start, Watermark::MIN)];
        while ends[ends.len() - 1] < last {
            let ended = Watermark(Timestamp(ends[ends.len() - 1] - 1));
            ends.push(slicing.first_end(start, ended));
        }
        ends
    }

    #[test]
    fn slices_make_the_windows_that_are_assigned() {
        for (size, slide, offset) in [
            (10, 10, 0),
            (10, 10, 3),
            (30, 10, -4),
            (10, 4, 1),
            (10, 30, 5),
            (7, 3, 0),
        ] {
            let slicing = slicing(size, slide, offset);
            for time in -100..100 {
                let begins = (-40..40).map(|index| offset + index * slide);
                let has = |begin: &i64| (*begin..begin + size).contains(&time);
                let expected: Vec<i64> = begins.filter(has).map(|begin| begin + size).collect();
                assert_eq!(ends(&slicing, time), expected, "{size} {slide} {offset} {time}");
            }
        }
    }

    #[test]
    fn a_window_keeps_what_later_ones_need() {
        let slicing = slicing(30, 10, 0);
        assert_eq!((slicing.start_of(40), slicing.kept_from(40)), (10, 20));
        assert_eq!(slicing.window(40), TimeWindow::new(Timestamp(10), Timestamp(40)));
        assert_eq!(slicing.slice_end(slicing.slice(Timestamp(19))), 20);
    }

    #[test]
    fn nothing_overflows_at_the_ends_of_time() {
        let slicing = slicing(3000, 1000, 7);
        for time in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
            let start = slicing.slice(Timestamp(time));
            let end = slicing.first_end(start, Watermark::MIN);
            assert!(start <= time && end > start, "{time}");
            assert!(slicing.kept_from(i64::MAX) > start);
            let _ = (
                slicing.window(end),
                slicing.start_of(end),
                slicing.last_end(start),
            );
        }
    }
}
