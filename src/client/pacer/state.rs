//! What stands behind the pacer's lock.

use super::{
    Settings,
    known::{Answered, Known, Room},
};
use crate::{
    client::{Advice, Jitter, Retry, Told, wakers::Wakers},
    time::Nanos,
};
use std::{collections::VecDeque, task::Waker, time::Duration};

/// Limits by name, those that were configured aside.
const MOST_KNOWN: usize = 8;

/// Calls without an answer that are remembered while another one is in flight.
const MOST_LOST: usize = 1024;

/// Below it calls are as good as unspaced; a wait beyond the longest tells of no rate.
const SHORTEST_PACE: Duration = Duration::from_millis(1);
const LONGEST_PACE: Duration = Duration::from_secs(60);

/// Whether a call may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// It has started; its ticket.
    Go(Ticket),
    Wait(Duration, Seen),
    Busy(Seen),
}

/// What a caller waits for, and what had happened when it was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) waits_for: WaitsFor,
    /// How many calls had ended, and how often one of them had made waits shorter.
    ends: u64,
    sooner: u64,
    /// When it may go although none has ended.
    pub(super) until: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Nothing,
    /// Any call that ends.
    AnEnd,
    /// A wait that becomes shorter.
    Sooner,
    /// Its own time, whatever others do.
    Time,
}

impl Seen {
    pub(super) const NOTHING: Self =
        Self { waits_for: WaitsFor::Nothing, ends: 0, sooner: 0, until: Nanos::MAX };
}

/// One call in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    id: u64,
    start: Nanos,
    /// How many calls had ended when it started, with an answer or without.
    answers: u64,
    /// From when on it might have started, by the one before.
    next_start: Nanos,
}

#[derive(Debug)]
pub(super) struct State {
    known: Vec<Known>,
    configured: usize,
    flying: Vec<Ticket>,
    /// Calls that were answered, and take their places until their bodies have ended; and how many
    /// such bodies have.
    places: usize,
    places_over: u64,
    started: u64,
    answers: u64,
    /// Calls that ended without an answer, by how many answers there were.
    lost: VecDeque<u64>,
    /// So many may fly for now: it shrinks to one where nothing is known, or after a denial.
    window: usize,
    /// How many had started when the last denial came: their answers say nothing of after it.
    before_denial: u64,
    /// After a denial nobody goes before.
    held_until: Nanos,
    next_start: Nanos,
    /// From one start to the next, where nothing is known but denials.
    pace: Duration,
    /// Calls that passed since the last denial.
    passed: u32,
    /// How often the end of a call made waits shorter.
    sooner: u64,
    pub(super) tasks: Wakers<Seen>,
    pub(super) jitter: Jitter,
}

impl State {
    pub(super) fn new(settings: &Settings, jitter: Jitter) -> Self {
        let known: Vec<_> = settings.quotas.iter().map(Known::configured).collect();
        Self {
            configured: known.len(),
            window: if known.is_empty() { 1 } else { settings.in_flight },
            known,
            flying: Vec::new(),
            places: 0,
            places_over: 0,
            started: 0,
            answers: 0,
            lost: VecDeque::new(),
            before_denial: 0,
            held_until: Nanos::ZERO,
            next_start: Nanos::ZERO,
            pace: Duration::ZERO,
            passed: 0,
            sooner: 0,
            tasks: Wakers::new(),
            jitter,
        }
    }

    fn count(&self) -> u64 {
        self.flying.len() as u64
    }

    /// How many calls have ended, those whose places were kept twice: with the answer more may be
    /// known to be left, and with the body there is a place.
    pub(super) fn ends(&self) -> u64 {
        self.started - self.count() + self.places_over
    }

    /// How many calls take a place among those that may be in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.flying.len() + self.places
    }

    fn seen(&self, waits_for: WaitsFor) -> Seen {
        Seen { waits_for, ends: self.ends(), sooner: self.sooner, until: Nanos::MAX }
    }

    pub(super) fn has_ended(&self, seen: Seen) -> bool {
        self.in_flight() == 0 || self.ends() != seen.ends
    }

    /// Whether who waits should ask again.
    pub(super) fn has_news(&self, seen: Seen) -> bool {
        match seen.waits_for {
            WaitsFor::Nothing => true,
            WaitsFor::AnEnd => self.has_ended(seen),
            WaitsFor::Sooner => self.sooner != seen.sooner,
            WaitsFor::Time => false,
        }
    }

    /// From when on a call may start; and if others must end before, the instant at which it may
    /// although none has.
    fn from(&mut self, now: Nanos) -> (Nanos, Option<Nanos>) {
        let (flying, mut after_an_end) = (self.count(), None);
        let mut from = self.held_until.max(self.next_start);
        for known in &mut self.known {
            known.settle(now);
            match known.room(now, flying) {
                Room::Free => {}
                Room::From(at) => from = from.max(at),
                Room::AfterAnEnd(or_at) => after_an_end = after_an_end.max(Some(or_at)),
            }
        }
        (from, after_an_end)
    }

    /// A call ends as `end` says. Those tasks that have news of it, and whether waits became
    /// shorter.
    pub(super) fn end(&mut self, now: Nanos, end: impl FnOnce(&mut Self)) -> (Vec<Waker>, bool) {
        let (before, _) = self.from(now);
        end(self);
        let sooner = self.from(now).0 < before;
        self.sooner += u64::from(sooner);
        let mut tasks = std::mem::replace(&mut self.tasks, Wakers::new());
        let woken = tasks.take(|seen| self.has_news(*seen));
        self.tasks = tasks;
        (woken, sooner)
    }

    pub(super) fn ask(&mut self, settings: &Settings, now: Nanos) -> Ask {
        let (from, after_an_end) = self.from(now);
        if from > now {
            let wait = from.since(now).min(settings.longest_wait);
            return Ask::Wait(wait, self.seen(WaitsFor::Sooner));
        }
        if self.in_flight() >= settings.in_flight.min(self.window) {
            return Ask::Busy(self.seen(WaitsFor::AnEnd));
        }
        if let Some(until) = after_an_end {
            return Ask::Busy(Seen { until, ..self.seen(WaitsFor::AnEnd) });
        }
        self.started += 1;
        let (id, answers, next_start) = (self.started, self.answers, self.next_start);
        let ticket = Ticket { id, start: now, answers, next_start };
        self.flying.push(ticket);
        let flying = self.count();
        let mut gap = self.pace;
        for known in &mut self.known {
            known.start();
            gap = gap.max(known.gap(settings.slow_below, now, flying));
        }
        // Where starts are not spaced this stays in the past: callers read their clocks before they
        // take the lock, and whoever comes with an earlier reading is not to wait for the difference.
        if !gap.is_zero() {
            self.next_start = now.after(gap.min(settings.longest_wait));
        }
        Ask::Go(ticket)
    }

    /// A call ended without an answer: it may have been counted.
    pub(super) fn lost(&mut self, settings: &Settings, ticket: Ticket, now: Nanos) {
        if !self.land(ticket) {
            return;
        }
        for known in &mut self.known {
            known.lost(ticket.start, now, |n| settings.backoff.wait(n, &mut self.jitter));
        }
        self.answers += 1;
        self.lost.push_back(self.answers);
        if self.lost.len() > MOST_LOST {
            self.lost.pop_front();
        }
    }

    /// A call ended that surely was not sent: as if it had not started.
    pub(super) fn unsent(&mut self, ticket: Ticket) {
        if !self.land(ticket) {
            return;
        }
        self.known.iter_mut().for_each(Known::unsent);
        if ticket.id == self.started {
            // Nobody has started after it, and by its time.
            self.next_start = ticket.next_start;
        }
    }

    /// One place more is taken, by a call that is answered or about to be. It counts against no
    /// limit: that its call did.
    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn take_place(&mut self) {
        self.places += 1;
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(super) fn give_up_place(&mut self) {
        self.places -= 1;
        self.places_over += 1;
    }

    fn land(&mut self, ticket: Ticket) -> bool {
        let at = self.flying.iter().position(|other| *other == ticket);
        at.map(|at| self.flying.swap_remove(at)).is_some()
    }

    /// An answer came. After a denial everybody is held for `wait`.
    pub(super) fn answered(
        &mut self,
        settings: &Settings,
        ticket: Ticket,
        (status, advice, wait): (u16, &Advice, Duration),
        now: Nanos,
    ) {
        if !self.land(ticket) {
            return;
        }
        self.answers += 1;
        let denied = Retry::is_denial(status, advice);
        self.known.iter_mut().for_each(|known| known.settle(now));
        // First, as it may be from this answer that a log begins.
        self.learn(settings, ticket, advice, now);
        if denied {
            let wait = wait.min(settings.longest_wait);
            self.held_until = self.held_until.max(now.after(wait));
            if ticket.id > self.before_denial {
                self.slow_down(wait);
            }
            if status != 429 {
                // It may have been counted before it was found that it could not be served.
                self.known.iter_mut().for_each(|known| known.record(ticket.start, now));
            }
            self.window = 1;
            self.before_denial = self.started;
            if advice.retry_after().is_some_and(|told| !told.is_zero()) {
                let at = self.held_until;
                self.known.iter_mut().for_each(|known| known.come_back(at));
            }
        } else {
            self.known.iter_mut().for_each(|known| known.record(ticket.start, now));
            if self.flying.is_empty() {
                let number = self.answers;
                self.known.iter_mut().for_each(|known| known.untold(number, now));
            }
            if ticket.id > self.before_denial {
                self.window = self.window.saturating_mul(2).min(settings.in_flight);
                self.passed = self.passed.saturating_add(1);
                self.pace =
                    if self.pace > SHORTEST_PACE { self.pace * 3 / 4 } else { Duration::ZERO };
            }
        }
    }

    /// A call that was sent after the last denial was denied. Where each wait lets one pass and
    /// nothing else is told, it is a rate, which no number of calls in flight can say: from then
    /// on starts are so far apart, closer with each that passes, and farther with each denial.
    fn slow_down(&mut self, wait: Duration) {
        self.pace = if !self.known.is_empty() {
            Duration::ZERO
        } else if !self.pace.is_zero() {
            (self.pace * 2).min(LONGEST_PACE)
        } else if self.passed == 1 && self.before_denial > 0 {
            wait.min(LONGEST_PACE)
        } else {
            Duration::ZERO
        };
        self.passed = 0;
    }

    fn learn(&mut self, settings: &Settings, ticket: Ticket, advice: &Advice, now: Nanos) {
        let oldest = self.flying.iter().map(|other| other.answers).min().unwrap_or(self.answers);
        let lost = self.lost.iter().filter(|number| **number > ticket.answers).count();
        let uncounted = self.count() + lost as u64;
        self.lost.retain(|number| *number > oldest);
        for told in advice.limits() {
            let alone =
                advice.limits().iter().filter(|other| other.limit == told.limit).count() == 1;
            let Some(at) = self.place(told, alone, now) else { continue };
            let reset = told.reset.unwrap_or_default();
            let more = settings.backoff.beside(reset, &mut self.jitter).saturating_sub(reset);
            let of = Answered {
                number: self.answers,
                before: ticket.answers,
                oldest,
                uncounted,
                now,
                longest: settings.longest_wait,
                more,
            };
            if let Some(known) = self.known.get_mut(at) {
                known.learn(told, &of);
            }
        }
        if !advice.limits().is_empty() {
            // A plan that was changed, or a limit of one endpoint that nobody calls any more.
            let mut configured = self.configured;
            self.known.retain(|known| {
                let kept = configured > 0 || !known.is_over(now);
                configured = configured.saturating_sub(1);
                kept
            });
        }
    }

    /// Where what was told belongs. It is a configured limit's if its size and window say so, and no
    /// other's; if it has a name it is `alone` of its size in its answer, too: another one's log
    /// would free units that it never had.
    fn place(&mut self, told: &Told, alone: bool, now: Nanos) -> Option<usize> {
        let (configured, learned) = self.known.split_at(self.configured);
        if told.name.is_empty() || alone {
            let mut of_size = (0..).zip(configured).filter(|(_, known)| known.is_of(told));
            if let (Some((at, _)), None) = (of_size.next(), of_size.next()) {
                return Some(at);
            }
        }
        if let Some(at) = learned.iter().position(|known| *known.name == told.name) {
            return Some(self.configured + at);
        }
        if learned.len() >= MOST_KNOWN {
            // Those of this very answer aside.
            let oldest =
                (self.configured..).zip(learned).min_by_key(|(_, known)| known.last_told());
            let (at, _) = oldest.filter(|(_, known)| known.last_told() < now)?;
            self.known.swap_remove(at);
        }
        self.known.push(Known::told(&told.name));
        Some(self.known.len() - 1)
    }
}
