//! [`Wakers`]: tasks that wait for news, behind the lock of what they wait for.
//!
//! No wake-up is lost, as long as two things are done under that one lock: whether there is
//! news is looked at where the waker is noted, and the wakers are taken where the news is made.
//! Whichever comes first, the other sees it. All who wait are woken, not one: who is woken and
//! then cancelled, or told to wait for something else, has nothing to pass on.
//!
//! Nothing of a task's runs under the lock, since that might come back here: wakers are cloned
//! before, and woken and dropped after.

use std::{collections::VecDeque, mem, task::Waker};

/// Each with what it waits for. Their numbers rise.
#[derive(Debug)]
pub(super) struct Wakers<T> {
    next: u64,
    list: VecDeque<(u64, T, Waker)>,
}

impl<T> Wakers<T> {
    pub(super) const fn new() -> Self {
        Self { next: 0, list: VecDeque::new() }
    }

    /// Notes it in that place, or in a new one if it has none there (any more). What was there
    /// is left in `waker`, to be dropped when nothing is locked.
    pub(super) fn note(&mut self, place: &mut Option<u64>, of: T, waker: &mut Option<Waker>) {
        let at = place.and_then(|number| self.position(number));
        if let Some((_, noted, old)) = at.and_then(|at| self.list.get_mut(at)) {
            *noted = of;
            if let Some(new) = waker {
                mem::swap(old, new);
            }
        } else if let Some(new) = waker.take() {
            *place = Some(self.next);
            self.list.push_back((self.next, of, new));
            self.next += 1;
        }
    }

    /// Its waker, if it is there still: to be dropped when nothing is locked.
    #[must_use]
    pub(super) fn forget(&mut self, place: &mut Option<u64>) -> Option<Waker> {
        let at = place.take().and_then(|number| self.position(number))?;
        self.list.remove(at).map(|(.., waker)| waker)
    }

    /// Those who have news: to be woken when nothing is locked.
    #[must_use]
    pub(super) fn take(&mut self, mut has_news: impl FnMut(&T) -> bool) -> Vec<Waker> {
        let (woken, wait) = mem::take(&mut self.list)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, of, _)| has_news(of));
        self.list = wait;
        woken.into_iter().map(|(.., waker)| waker).collect()
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.list.binary_search_by_key(&number, |(number, ..)| *number).ok()
    }
}
