//! The only door to atomics and threads: the standard library's, or loom's
//! when the crate is built with `--cfg loom`.
//!
//! Nothing outside this file names `std::sync::atomic` or `loom`, so that
//! every protocol in the crate is the one the models run.

#[cfg(all(test, not(loom)))]
pub(crate) use fatal::AtomicU64;
#[cfg(loom)]
pub(crate) use loom::{sync::atomic::Ordering, thread};
#[cfg(loom)]
pub(crate) use model::AtomicU64;
#[cfg(not(any(test, loom)))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use std::{sync::atomic::Ordering, thread};

/// A lock, for what is not on a decision's way.
#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;

/// loom's lock, by the names of the other.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What was published before any word that this thread loaded is seen from here on.
#[inline]
pub(crate) fn acquire() {
    #[cfg(not(loom))]
    std::sync::atomic::fence(Ordering::Acquire);
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::Acquire);
}

/// Tells the processor (or the model) that this thread waits for another.
#[inline]
pub(crate) fn spin() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    thread::yield_now();
}

/// Before something of a region is written that is no word of its memory.
#[cfg(feature = "shared")]
#[inline(always)]
pub(crate) fn about_to_write() {
    #[cfg(all(test, not(loom)))]
    fatal::write();
}

/// A small number that tells threads apart, in the order in which they asked.
#[inline]
pub(crate) fn thread_number() -> usize {
    #[cfg(not(loom))]
    {
        use std::{cell::Cell, sync::atomic::AtomicUsize};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) });
        // A thread that is ending has no number any more, and may share one.
        NUMBER
            .try_with(|number| {
                if number.get() == usize::MAX {
                    number.set(NEXT.fetch_add(1, Ordering::Relaxed));
                }
                number.get()
            })
            .unwrap_or(0)
    }
    #[cfg(loom)]
    0
}

#[cfg(loom)]
pub(crate) mod model {
    //! loom's atomic, with a second way to load.
    //!
    //! loom looks for schedules by conflicts between an access and the last one
    //! of another thread. A thread that loads a word and then swaps it hides, by
    //! its own load, an earlier load of another thread, and the order in which
    //! that load comes after the swap is never tried. Loading by a
    //! read-modify-write tries it, but never sees an old value as a weak load
    //! may. So every model runs in both ways.

    use super::Ordering;
    use std::cell::Cell;

    thread_local! {
        /// Whether loads of this model are read-modify-writes. Models run all
        /// their threads on one thread of the system.
        pub(crate) static LOADS_CONFLICT: Cell<bool> = const { Cell::new(false) };
    }

    #[derive(Debug, Default)]
    pub(crate) struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            if LOADS_CONFLICT.get() { self.0.fetch_or(0, order) } else { self.0.load(order) }
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.0.store(value, order);
        }

        pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
            self.0.swap(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            from: u64,
            to: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.0.compare_exchange(from, to, success, failure)
        }

        pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_max(value, order)
        }

        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_add(value, order)
        }
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) mod fatal {
    //! The standard library's atomic, any of whose writes may be the one that a process
    //! does not live to make (`tests/killed`).
    //!
    //! A load leaves nothing behind: what others find of a process that was killed changes
    //! with its writes alone, so the instants before each of them are all there are.

    use super::Ordering;
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
        static END: Cell<fn()> = const { Cell::new(|| ()) };
    }

    /// `end` is called before the write with that number, from 0, of this thread.
    #[cfg_attr(not(feature = "shared"), allow(dead_code))]
    pub(crate) fn end_before(nth: u64, end: fn()) {
        LEFT.set(nth);
        END.set(end);
    }

    #[inline]
    pub(crate) fn write() {
        let left = LEFT.get();
        if left == 0 {
            END.get()();
        }
        LEFT.set(left.wrapping_sub(1));
    }

    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub(crate) struct AtomicU64(std::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) const fn new(value: u64) -> Self {
            Self(std::sync::atomic::AtomicU64::new(value))
        }

        #[inline]
        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        #[inline]
        pub(crate) fn store(&self, value: u64, order: Ordering) {
            write();
            self.0.store(value, order);
        }

        #[inline]
        pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
            write();
            self.0.swap(value, order)
        }

        #[inline]
        pub(crate) fn compare_exchange(
            &self,
            from: u64,
            to: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            write();
            self.0.compare_exchange(from, to, success, failure)
        }

        #[inline]
        pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
            write();
            self.0.fetch_max(value, order)
        }

        #[inline]
        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            write();
            self.0.fetch_add(value, order)
        }
    }
}
