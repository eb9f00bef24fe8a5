//! What stands behind the pacer's lock.

use super::{
    Settings,
    known::{Answered, Known, Room},
};
use crate::{
    client::{Advice, Jitter, Retry, Told},
    time::Nanos,
};
use std::{collections::VecDeque, time::Duration};

/// Limits by name, those that were configured aside.
const MOST_KNOWN: usize = 8;

/// Calls without an answer that are remembered while another one is in flight.
const MOST_LOST: usize = 1024;

/// Whether a call may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// It has started; its ticket.
    Go(Ticket),
    Wait(Duration),
    /// So many calls had ended.
    Busy(u64),
}

/// One call in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    id: u64,
    start: Nanos,
    /// How many calls had ended when it started, with an answer or without.
    answers: u64,
}

#[derive(Debug)]
pub(super) struct State {
    known: Vec<Known>,
    configured: usize,
    flying: Vec<Ticket>,
    started: u64,
    answers: u64,
    /// Calls that ended without an answer, by how many answers there were.
    lost: VecDeque<u64>,
    /// So many may fly for now: it shrinks to one where nothing is known, or after a denial.
    window: usize,
    /// How many had started when the last denial came: their answers say nothing of after it.
    before_denial: u64,
    /// Since a denial, until an answer that is none.
    held_until: Nanos,
    next_start: Nanos,
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
            started: 0,
            answers: 0,
            lost: VecDeque::new(),
            before_denial: 0,
            held_until: Nanos::ZERO,
            next_start: Nanos::ZERO,
            jitter,
        }
    }

    fn count(&self) -> u64 {
        self.flying.len() as u64
    }

    /// How many calls have ended.
    pub(super) fn ends(&self) -> u64 {
        self.started - self.count()
    }

    pub(super) fn flying(&self) -> usize {
        self.flying.len()
    }

    pub(super) fn ask(&mut self, settings: &Settings, now: Nanos) -> Ask {
        let flying = self.count();
        let mut busy = self.flying.len() >= settings.in_flight.min(self.window);
        let mut from = self.held_until.max(self.next_start);
        for known in &mut self.known {
            known.settle(now);
            match known.room(now, flying) {
                Room::Free => {}
                Room::From(at) => from = from.max(at),
                Room::AfterAnEnd => busy = true,
            }
        }
        if from > now {
            return Ask::Wait(from.since(now).min(settings.longest_wait));
        }
        if busy {
            return Ask::Busy(self.ends());
        }
        self.started += 1;
        let ticket = Ticket { id: self.started, start: now, answers: self.answers };
        self.flying.push(ticket);
        let flying = self.count();
        let mut gap = Duration::ZERO;
        for known in &mut self.known {
            known.start();
            gap = gap.max(known.gap(settings.slow_below, now, flying));
        }
        self.next_start = now.after(gap.min(settings.longest_wait));
        Ask::Go(ticket)
    }

    /// A call ended without an answer: it may have been counted.
    pub(super) fn lost(&mut self, ticket: Ticket, now: Nanos) {
        if !self.land(ticket) {
            return;
        }
        self.known.iter_mut().for_each(|known| known.lost(ticket.start, now));
        self.answers += 1;
        self.lost.push_back(self.answers);
        if self.lost.len() > MOST_LOST {
            self.lost.pop_front();
        }
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
            }
        }
    }

    fn learn(&mut self, settings: &Settings, ticket: Ticket, advice: &Advice, now: Nanos) {
        let oldest = self.flying.iter().map(|other| other.answers).min().unwrap_or(self.answers);
        let lost = self.lost.iter().filter(|number| **number > ticket.answers).count();
        let uncounted = self.count() + lost as u64;
        self.lost.retain(|number| *number > oldest);
        for told in advice.limits() {
            let Some(at) = self.place(told, now) else { continue };
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

    /// Where what was told belongs. What has no name is a configured limit's if its size
    /// says so, and no other's: another one's log would free units that it never had.
    fn place(&mut self, told: &Told, now: Nanos) -> Option<usize> {
        let (configured, learned) = self.known.split_at(self.configured);
        if let Some(limit) = told.limit.filter(|_| told.name.is_empty()) {
            let mut of_size = (0..).zip(configured).filter(|(_, known)| known.is_of(limit));
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
