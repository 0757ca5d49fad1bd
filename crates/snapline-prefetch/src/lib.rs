//! Asks the processor to fetch memory that will be used soon.
//!
//! A table that is larger than the caches waits about 100 ns for each entry that it looks at. Whoever knows which
//! entries a whole batch will need can ask for all of them first: the waits overlap, and what is asked for is
//! fetched even where the processor could not have looked ahead.
//!
//! This is the only crate that may switch off the compiler's checks of memory, for one instruction, which
//! has no form without. It reads nothing that a program could see, and no address makes it fail. Run the tests under
//! Miri with `cargo +nightly miri test -p snapline-prefetch`, after `rustup +nightly component add miri`.
#![no_std]

/// Starts to fetch the place where a value begins into the nearest cache, and does not wait for it.
///
/// For a processor that cannot be asked, `touch` reads the place instead; what it returns is dropped.
///
/// ```
/// let numbers = vec![7_u64; 1 << 20];
/// let wanted = [999_999, 3, 500_000];
/// for index in wanted {
///     snapline_prefetch::prefetch(&numbers[index], || numbers[index]);
/// }
/// assert_eq!(wanted.map(|index| numbers[index]), [7; 3]);
/// ```
#[inline(always)]
pub fn prefetch<T: ?Sized, R>(place: &T, touch: impl FnOnce() -> R) {
    prefetch_at(core::ptr::from_ref(place).cast::<u8>().addr(), touch);
}

/// The same for an address, which need not be one of anything.
#[inline(always)]
pub fn prefetch_at<R>(address: usize, touch: impl FnOnce() -> R) {
    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", not(miri))))]
    {
        let _ = touch;
        fetch(core::ptr::without_provenance(address));
    }
    #[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", not(miri)))))]
    core::hint::black_box(touch());
}

#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", not(miri))))]
#[expect(unsafe_code, reason = "the instruction has no safe form")]
#[inline(always)]
fn fetch(address: *const i8) {
    // SAFETY: a hint, which accesses no memory as far as the program can see and never faults. SSE, to which the
    // first belongs, is part of every x86_64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address);
    }
    // SAFETY: as above; it changes neither memory, stack nor flags.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, readonly, preserves_flags)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{prefetch, prefetch_at};

    #[test]
    fn values_of_any_size_can_be_asked_for_and_stay_as_they_are() {
        let (nothing, numbers, text) = ((), [1_u64, 2, 3], "text");
        prefetch(&nothing, || ());
        prefetch(&numbers, || numbers[0]);
        prefetch(&numbers[3..], || numbers[2]);
        prefetch(text, || text.len());
        assert_eq!((numbers, text), ([1, 2, 3], "text"));
    }

    #[test]
    fn no_address_is_an_error() {
        for address in [0, 1, usize::MAX / 2, usize::MAX] {
            prefetch_at(address, || ());
        }
    }
}
