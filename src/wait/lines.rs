//! The lines: who waits for which key, in which order.
//!
//! One lock over all lines of a set. Whoever is not to wait does not take it, or for as
//! long as a look at a map; whoever waits takes it when coming, at each wake-up, and when
//! leaving. Nothing of the caller's runs under it, since that might come back here: questions
//! that are not a limiter's own are asked outside, clocks are read and wakers cloned before,
//! and tasks are woken, and wakers dropped, after. One thing does: where a state looks like a
//! fault (a day and more ahead of the largest debt), the limiter that is asked to reserve, give
//! back or reset reads its clock once more. So a clock must not use the set that waits by it.
//!
//! No wake-up is lost, because a place is looked at and its waker noted under one lock,
//! and whoever moves a place takes the waker under the same. No nudge is lost either: what
//! was asked outside counts only if nobody was nudged between (`wait_*` in `tests/loom`).

use crate::{decision::Decision, sync::Mutex, time::Nanos};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    task::Waker,
    time::Duration,
};

/// How many may wait in a line, unless it is said; and in all of them, so that it takes many
/// keys to leave no place for others.
const MOST_EACH: usize = 1024;
const MOST: usize = 16 * MOST_EACH;

/// Everybody who waits at one limiter or queue.
pub(super) struct Lines {
    /// In all lines together, and in each: what was said.
    most: Option<usize>,
    each: Option<usize>,
    state: Mutex<State>,
    pub(super) random: ahash::RandomState,
}

#[derive(Default)]
struct State {
    waiting: usize,
    next: u64,
    /// How often anybody was nudged.
    nudges: u64,
    lines: HashMap<u64, VecDeque<Place>, ahash::RandomState>,
}

/// One waiter. Numbers rise along a line, and so do the times of those who reserved.
struct Place {
    number: u64,
    /// When its turn comes: of who reserved. Of who stands first in a queue, when to ask
    /// again; of the others nothing.
    due: Nanos,
    /// When all is paid that was charged before it. After this, others may have been let in
    /// because of what it was charged.
    returnable: Nanos,
    /// When its own charge is paid as well: not sooner than it really is, where `returnable` is
    /// not later.
    paid: Nanos,
    /// By how much those behind move up when it leaves.
    weight: Duration,
    /// By when the turn must have come.
    deadline: Nanos,
    waker: Option<Waker>,
}

/// What came of reserving.
pub(super) enum Reserved {
    /// To be used now.
    Now(Decision),
    /// To be used when the place of this number is due.
    Place(u64, Decision),
    Denied(Decision),
    /// As many wait as may, there or in all.
    Full(Decision),
}

/// What was nudged before a question was asked. Where more was since, the answer may be
/// out of date, and is as good as none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen(u64);

/// Where a place in a queue is.
pub(super) enum Standing {
    /// First; it is to ask again then.
    First(Nanos, Seen),
    /// Behind one that asks again then.
    Behind(Nanos),
}

impl Lines {
    pub(super) fn new() -> Self {
        let random = ahash::RandomState::new();
        let lines = HashMap::with_hasher(random.clone());
        let state = State { waiting: 0, next: 0, nudges: 0, lines };
        Self { most: None, each: None, state: Mutex::new(state), random }
    }

    pub(super) fn at_most(&mut self, most: usize) {
        self.most = Some(most);
    }

    pub(super) fn at_most_each(&mut self, most: usize) {
        self.each = Some(most);
    }

    /// Whether one more may wait in that line. Where one bound was said, it holds for both: who
    /// has one line means that one, by either.
    fn has_room(&self, state: &State, line: u64) -> bool {
        let most = self.most.unwrap_or(MOST.max(self.each.unwrap_or(0)));
        let each = self.each.or(self.most).unwrap_or(MOST_EACH);
        state.waiting < most && state.lines.get(&line).map_or(0, VecDeque::len) < each
    }

    pub(super) fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Reserves and takes the place under one lock, so that the places of a line are in
    /// the order of their reservations. `reserve` is told whether it may wait.
    pub(super) fn reserve(&self, line: u64, reserve: impl FnOnce(bool) -> Decision) -> Reserved {
        let mut state = self.state.lock();
        let room = self.has_room(&state, line);
        let decision = reserve(room);
        if decision.is_denied() {
            let waits = decision.retry_after().is_some();
            return if waits && !room {
                Reserved::Full(decision)
            } else {
                Reserved::Denied(decision)
            };
        }
        if decision.wait().is_zero() {
            return Reserved::Now(decision);
        }
        let place = Place {
            number: 0,
            due: decision.decided_at().after(decision.wait()),
            returnable: decision.began(),
            paid: decision.decided_at().after(decision.full_after()),
            weight: decision.weight(),
            deadline: Nanos::MAX,
            waker: None,
        };
        Reserved::Place(state.push(line, place), decision)
    }

    /// How long until that place is due, and `later` after it; none, with the place gone,
    /// if it is.
    pub(super) fn until_due(
        &self,
        line: u64,
        number: u64,
        (now, later): (Nanos, Duration),
        waker: &Waker,
    ) -> Option<Duration> {
        let mut waker = Some(waker.clone());
        let gone = {
            let mut state = self.state.lock();
            let place = state.find(line, number)?;
            let due = place.due.after(later);
            if due > now {
                place.wake_by(&mut waker);
                return Some(due.since(now));
            }
            state.remove(line, number)
        };
        drop(gone);
        None
    }

    /// Leaves a place that was reserved. If nobody can have been let in because of it, it
    /// is given back, and those behind move up by what it was charged: the line and the
    /// limiter are then as if it had never come.
    pub(super) fn cancel(&self, line: u64, number: u64, now: Nanos, give_back: impl FnOnce()) {
        let mut woken = Vec::new();
        let gone = {
            let mut state = self.state.lock();
            let gone = state.remove(line, number);
            if let Some(gone) = gone.as_ref().filter(|gone| now <= gone.returnable) {
                give_back();
                for behind in state.behind(line, number) {
                    behind.move_up(gone.weight);
                    woken.extend(behind.waker.take());
                }
            }
            gone
        };
        drop(gone);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Lowers what a line's limiter is owed by what came before all who wait there, and
    /// moves them up by as much as it fell, which `lower` tells.
    pub(super) fn move_up<T>(&self, line: u64, lower: impl FnOnce() -> (T, Duration)) -> T {
        let mut woken = Vec::new();
        let value = {
            let mut state = self.state.lock();
            let (value, by) = lower();
            for place in state.lines.get_mut(&line).into_iter().flatten() {
                place.move_up(by);
                woken.extend(place.waker.take());
            }
            value
        };
        woken.into_iter().for_each(Waker::wake);
        value
    }

    /// Forgets what a line's limiter is owed at `now`, but for what those who wait there were
    /// charged: so much is `forget` told to leave. They are due as if they had all come now,
    /// in their order, where a debt of `tolerance` lets pass.
    pub(super) fn start_anew<T>(
        &self,
        line: u64,
        now: Nanos,
        tolerance: impl FnOnce() -> Duration,
        forget: impl FnOnce(Duration) -> T,
    ) -> T {
        let mut woken = Vec::new();
        let value = {
            let mut state = self.state.lock();
            let (mut owed, tolerance) = (now, tolerance());
            for place in state.lines.get_mut(&line).into_iter().flatten() {
                // Of who is overdue time has paid a part, or all.
                if place.paid > now {
                    let weight = place.paid.since(place.returnable);
                    place.returnable = place.returnable.min(owed);
                    place.paid = place.paid.min(owed.after(weight));
                    owed = place.paid;
                    place.due_within(tolerance);
                }
                woken.extend(place.waker.take());
            }
            forget(owed.since(now))
        };
        woken.into_iter().for_each(Waker::wake);
        value
    }

    /// Lets debts be as large as `tolerance` in all lines, once that is `set`. Whoever waits is
    /// due no later than by that, and no later than it was promised.
    pub(super) fn tolerate<E>(
        &self,
        tolerance: Duration,
        set: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            set()?;
            for place in state.lines.values_mut().flatten() {
                place.due_within(tolerance);
                woken.extend(place.waker.take());
            }
        }
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Whether nobody stands in that line, so that whoever comes may ask.
    pub(super) fn if_empty(&self, line: u64) -> Option<Seen> {
        let state = self.state.lock();
        (!state.lines.contains_key(&line)).then_some(Seen(state.nudges))
    }

    /// Stands last in that line, to ask again as it was told; `None` if as many wait as may.
    pub(super) fn stand(
        &self,
        line: u64,
        told: Option<(Nanos, Seen)>,
        deadline: Nanos,
    ) -> Option<u64> {
        let mut state = self.state.lock();
        if !self.has_room(&state, line) {
            return None;
        }
        // Only the first asks.
        let told = told.filter(|_| !state.lines.contains_key(&line));
        let due = told.map_or(Nanos::ZERO, |(due, seen)| state.unless_nudged(due, seen));
        let (returnable, paid, weight) = (Nanos::ZERO, Nanos::ZERO, Duration::ZERO);
        let place = Place { number: 0, due, returnable, paid, weight, deadline, waker: None };
        Some(state.push(line, place))
    }

    pub(super) fn standing(&self, line: u64, number: u64, waker: &Waker) -> Standing {
        let mut waker = Some(waker.clone());
        let mut state = self.state.lock();
        if let Some(place) = state.find(line, number) {
            place.wake_by(&mut waker);
        }
        match state.lines.get(&line).and_then(VecDeque::front) {
            Some(first) if first.number != number => Standing::Behind(first.due),
            Some(first) => Standing::First(first.due, Seen(state.nudges)),
            None => Standing::First(Nanos::ZERO, Seen(state.nudges)),
        }
    }

    /// The first of a line will ask again then: nobody behind has a turn before. Or at
    /// once, if it was nudged since it asked. Tells when.
    pub(super) fn ask_again(&self, line: u64, number: u64, due: Nanos, seen: Seen) -> Nanos {
        let mut woken = Vec::new();
        let due = {
            let mut state = self.state.lock();
            let due = state.unless_nudged(due, seen);
            let Some(place) = state.find(line, number) else { return due };
            place.due = due;
            for behind in state.behind(line, number).filter(|behind| behind.deadline < due) {
                woken.extend(behind.waker.take());
            }
            due
        };
        woken.into_iter().for_each(Waker::wake);
        due
    }

    /// Leaves a queue; who stands first then asks.
    pub(super) fn leave(&self, line: u64, number: u64) {
        let (gone, first) = {
            let mut state = self.state.lock();
            let was_first = state.first(line).is_some_and(|first| first.number == number);
            let gone = state.remove(line, number);
            (gone, state.first(line).filter(|_| was_first).and_then(|first| first.waker.take()))
        };
        drop(gone);
        first.into_iter().for_each(Waker::wake);
    }

    /// Lets the first of a line ask at once, and whoever asks just now ask again.
    pub(super) fn nudge(&self, line: u64) {
        let first = {
            let mut state = self.state.lock();
            state.nudges = state.nudges.wrapping_add(1);
            state.first(line).and_then(|first| {
                first.due = Nanos::ZERO;
                first.waker.take()
            })
        };
        first.into_iter().for_each(Waker::wake);
    }

    /// The same in all lines.
    pub(super) fn nudge_all(&self) {
        let mut woken = Vec::new();
        {
            let mut state = self.state.lock();
            state.nudges = state.nudges.wrapping_add(1);
            for first in state.lines.values_mut().filter_map(VecDeque::front_mut) {
                first.due = Nanos::ZERO;
                woken.extend(first.waker.take());
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn push(&mut self, line: u64, place: Place) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.waiting = self.waiting.saturating_add(1);
        self.lines.entry(line).or_default().push_back(Place { number, ..place });
        number
    }

    fn position(&self, line: u64, number: u64) -> Option<usize> {
        self.lines.get(&line)?.binary_search_by_key(&number, |place| place.number).ok()
    }

    fn find(&mut self, line: u64, number: u64) -> Option<&mut Place> {
        let at = self.position(line, number)?;
        self.lines.get_mut(&line)?.get_mut(at)
    }

    fn first(&mut self, line: u64) -> Option<&mut Place> {
        self.lines.get_mut(&line)?.front_mut()
    }

    /// When to ask again of who was told `due` by an answer to what it asked then.
    fn unless_nudged(&self, due: Nanos, seen: Seen) -> Nanos {
        if seen == Seen(self.nudges) { due } else { Nanos::ZERO }
    }

    /// Those who came after that number.
    fn behind(&mut self, line: u64, number: u64) -> impl Iterator<Item = &mut Place> {
        let places = self.lines.get_mut(&line);
        places.into_iter().flatten().filter(move |place| place.number > number)
    }

    fn remove(&mut self, line: u64, number: u64) -> Option<Place> {
        let at = self.position(line, number)?;
        let places = self.lines.get_mut(&line)?;
        let place = places.remove(at)?;
        if places.is_empty() {
            self.lines.remove(&line);
        }
        self.waiting = self.waiting.saturating_sub(1);
        Some(place)
    }
}

impl Place {
    /// As if so much had never been charged before it.
    fn move_up(&mut self, by: Duration) {
        for time in [&mut self.due, &mut self.returnable, &mut self.paid] {
            *time = time.before(by);
        }
    }

    /// Its turn comes no later than when what is owed with it is down to `tolerance`.
    fn due_within(&mut self, tolerance: Duration) {
        self.due = self.due.min(self.paid.before(tolerance));
    }

    /// Takes the waker, and leaves what it had: to be dropped when nothing is locked.
    fn wake_by(&mut self, waker: &mut Option<Waker>) {
        std::mem::swap(&mut self.waker, waker);
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("waiting", &self.waiting())
            .field("most", &self.most)
            .field("each", &self.each)
            .finish_non_exhaustive()
    }
}
