//! The pages that the kernel gives to the process.

/// From now on the kernel gives pages of their usual size, where it would give pages of 2 MB unasked: of those it keeps whole
/// what the allocator has given back in part, and a bound for memory is exceeded by what nobody has allocated.
///
/// Large tables are read faster with large pages, so who bounds no memory leaves them on.
pub(crate) fn ask_for_small_pages() {
    // A kernel without such pages has nothing to turn off.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
