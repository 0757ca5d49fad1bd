//! Parts of the world that are shared between states until one of them changes.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// A value with a fingerprint that is computed once per change.
#[derive(Debug)]
pub(crate) struct Part<T> {
    value: Rc<T>,
    print: Cell<Option<u128>>,
}

impl<T: Hash> Part<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Rc::new(value),
            print: Cell::new(None),
        }
    }

    pub(crate) fn print(&self) -> u128 {
        if let Some(print) = self.print.get() {
            return print;
        }
        let print = print_of(&*self.value);
        self.print.set(Some(print));
        print
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            print: self.print.clone(),
        }
    }
}

impl<T: Hash> Hash for Part<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.print());
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> DerefMut for Part<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.print.set(None);
        Rc::make_mut(&mut self.value)
    }
}

/// The fingerprint of anything. States with the same one are taken for the same state: of a hundred
/// million states two have it by chance with a probability of one in 10^22.
pub(crate) fn print_of(value: &impl Hash) -> u128 {
    let mut mixer = Mixer(0);
    value.hash(&mut mixer);
    mixer.0
}

/// Folds products of 128 bits, which is fast without optimization as well. Each word changes all later
/// states, in a way that can be undone, so that no words get lost.
struct Mixer(u128);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = (self.0 ^ u128::from(word)).wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645);
        self.0 = product ^ (product >> 67);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_u128(&mut self, word: u128) {
        self.mix(word as u64);
        self.mix((word >> 64) as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 as u64
    }
}
