//! Buffers that are used again by later snapshots.

/// By so many buffers a pool shrinks at a time, so that a freeze takes constant time.
const FREED_AT_ONCE: usize = 16;

/// Buffers for which there is no use at the moment. The next that are needed are among them: they are in a cache, and
/// the system need not clear memory for others while a task waits.
///
/// There are never more than a given number, and with each snapshot a few are freed of those that all of the last one
/// had no use for. So memory that a large snapshot needed goes back while small ones follow.
#[derive(Debug)]
pub(super) struct Pool<T> {
    free: Vec<T>,
    most: usize,
    /// How many have been free all the time since the last snapshot began.
    idle: usize,
}

impl<T> Pool<T> {
    /// No buffers yet, and at most so many at any time.
    pub(super) const fn of(most: usize) -> Self {
        Self {
            free: Vec::new(),
            most,
            idle: 0,
        }
    }

    /// A snapshot begins.
    pub(super) fn begin(&mut self) {
        self.free.drain(..self.idle.min(FREED_AT_ONCE));
        self.idle = self.free.len();
    }

    pub(super) fn take(&mut self) -> Option<T> {
        let taken = self.free.pop();
        self.idle = self.idle.min(self.free.len());
        taken
    }

    /// Takes an empty buffer in, or frees it if there are enough.
    pub(super) fn give_back(&mut self, buffer: T) {
        if self.free.len() < self.most {
            self.free.push(buffer);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_at_most_so_many_buffers_and_frees_those_that_no_snapshot_needs() {
        let mut pool = Pool::of(100);
        assert_eq!(pool.take(), None);
        (0..150).for_each(|buffer| pool.give_back(buffer));
        assert_eq!(pool.len(), 100);
        let mut lens = Vec::new();
        for _ in 0..8 {
            pool.begin();
            lens.push(pool.len());
            let taken: Vec<i32> = (0..30).map_while(|_| pool.take()).collect();
            taken.into_iter().for_each(|buffer| pool.give_back(buffer));
        }
        // The first begins when nothing has been idle for a whole snapshot.
        assert_eq!(lens, [100, 84, 68, 52, 36, 30, 30, 30]);
    }
}
