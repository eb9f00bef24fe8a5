//! How leases are had, renewed and given back, by any threads at once.
//!
//! A lease is two words: the slot's state, by which the slot stays the key's, and an
//! entry of its ring, which is the lease. Neither follows from the other, so each
//! step does no harm if it is the last one that its thread ever takes.
//!
//! # The steps
//!
//! *Acquire.* 1. Look at all entries. No room: a denial, confirmed by a second look
//! at the state. Else **commit**: swap the state for one that keeps the slot at
//! least until the new lease ends, and counts one more who is *coming*. 2. Look again,
//! and **take** the first free entry by a swap from exactly its word. Somebody else
//! did: look again; no room any more: start over. 3. Say that who was coming has
//! *arrived*.
//!
//! *Release.* Swap the entry for one with the same nonce and an end of 0. If no entry
//! is live then, and nobody is coming, the slot need not be kept any longer: swap
//! the state, from what it was before that look, for one that says so.
//!
//! *Renew.* If the lease is live, commit a state that keeps the slot until its new
//! end; then swap the entry from exactly what it was.
//!
//! # Why that is right
//!
//! **A slot is the key's while a lease is live.** An entry is given an end only after
//! a commit that keeps the slot until then, and the swap of the commit proves that it
//! was the key's. Keeping is cut short only by the last release: not while anybody
//! is coming, nor by a swap that a commit came before; and the entries it looked at
//! have an end of 0, which no renewal continues. Who stops between commit and entry
//! for so long that the slot is reclaimed writes an end that has passed by then, by
//! the clock of who reclaimed, and so for every key that has the slot later. (Model:
//! `lease_stalled_acquirer`, `lease_reclaim_against_acquire`.)
//!
//! **Never more than N.** Who takes entry c saw all before it live, and, with those
//! after it, fewer than N: so c < N, and among the entries from N on there are only
//! leases of a time when the quota was larger. Take any moment, and of its live leases
//! the last by entry that was had under N, at entry c. Those after it are of that
//! earlier time, live from then on, so whoever took c saw them, and they are fewer
//! than N - c. With the c + 1 up to it at most N in all. This asks nothing of the
//! order in which entries are looked at, nor of who else has committed. What was over
//! when it was looked at must stay so: a lease after c that has ended but is not 0 yet
//! is made 0 first. (Models: `lease_last_one`, `lease_lowered`.) While calls for one
//! key disagree about N, the largest of them holds.
//!
//! **A denial is of one moment.** Each lease that it saw was committed before the
//! first look at the state, or the second would differ; and none had ended when it
//! was seen, after the first. So at the first look all of them were had by those who
//! hold them, or by some who were coming. (Model: `lease_denial_is_consistent`.)
//!
//! **States do not return to another key**: they name the generation of the key word.
//!
//! **An id ends no other lease.** It names the generation, the entry and the nonce.
//! Nonces of an entry come back after 2^24 leases, or after 4 h 40 min to the very
//! millisecond. (Model: `lease_double_release`.)
//!
//! **Nobody waits for anybody.** A swap that fails is another one that succeeded. Who
//! dies coming is counted for as long as the key has the slot, which is then kept
//! until its leases would have ended.
//!
//! What was done before a release is seen by who has the entry next (Release and
//! Acquire of its word).

use super::LeaseId;
use crate::{
    algorithm::{Entry, LeaseState, Leases, Verdict},
    decision::Decision,
    table::{
        Bearer, Hash, Refused, Table,
        geometry::Geometry,
        rule::{Ask, Request, Rule, Seen, Step},
        storage::Storage,
        words::Ring,
    },
    time::SLACK,
};

/// What the table answers about leases: the decision, and, if it is to have a lease,
/// whose slot was committed to it and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    committed: Option<Committed>,
}

#[derive(Clone, Copy, Debug)]
struct Committed {
    owner: u16,
    end: u64,
}

impl Answer {
    const fn only(decision: Decision) -> Self {
        Self { decision, committed: None }
    }
}

/// Asked for one lease, it commits to one, which [`acquire`] then takes. Asked anything
/// else (how a charge would end; to give back without an id), it looks, and writes nothing.
impl Rule for Leases {
    type Answer = Answer;

    fn ring_words(&self) -> usize {
        self.entries()
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // generations have 16 bits
    fn decide(&self, request: &Request, seen: Seen, ring: Ring<'_>) -> Step<Answer> {
        let Request { now, cost, latest, ask, .. } = *request;
        let verdict = match seen {
            Seen::Live(word) => self.decide(LeaseState::unpack(word), &ring, now, latest, cost),
            Seen::Fresh { floor, generation } => {
                self.decide_fresh(generation as u16, floor, now, cost)
            }
        };
        match verdict {
            Verdict::Charge(state, decision) if ask == Ask::Charge => {
                let committed = Some(Committed { owner: state.owner, end: self.end(now) });
                Step::Commit(state.pack(), Answer { decision, committed })
            }
            Verdict::Charge(_, decision) | Verdict::Answer(decision) => {
                Step::Answer(Answer::only(decision))
            }
            Verdict::Fault => Step::Fault,
            Verdict::Lower(state, decision) => Step::Commit(state.pack(), Answer::only(decision)),
            Verdict::Tidy(state) => Step::Tidy(state.pack()),
        }
    }

    #[inline]
    fn write(&self, _: &Request, _: Seen, _: Ring<'_>) {}

    fn write_tidied(&self, _: &Request, _: u64, _: Ring<'_>) {}

    #[cold]
    fn repair(
        &self,
        request: &Request,
        state: u64,
        ring: Ring<'_>,
        unchanged: impl Fn() -> bool,
    ) -> u64 {
        for nth in 0..self.entries() {
            let word = ring.stamp(nth);
            // Only what was there while the state was: as `Ring::mend`.
            if !unchanged() {
                break;
            }
            if let Some(entry) = self.repaired_entry(Entry::unpack(word), request.latest) {
                ring.replace(nth, word, entry.pack());
            }
        }
        self.repaired(LeaseState::unpack(state), request.latest).pack()
    }

    #[cold]
    fn look_at_fault(&self, request: &Request) -> Answer {
        Answer::only(self.look_at_fault(request.latest, request.now))
    }

    fn free_at(&self, state: u64, _: Ring<'_>) -> u64 {
        LeaseState::unpack(state).free_at()
    }

    fn furthest_free(&self) -> u64 {
        self.furthest_free()
    }

    fn slack(&self) -> u64 {
        SLACK
    }
}

/// Decides a request of `hash`, and takes the lease if it is for one and is allowed: then
/// there is an id.
pub(crate) fn acquire<S: Storage, G: Geometry>(
    table: &Table<Leases, S, G>,
    rule: &Leases,
    hash: Hash,
    request: &Request,
) -> Result<(Decision, Option<LeaseId>), Refused> {
    loop {
        let answer = table.decide_by(rule, hash, request)?;
        let Some(committed) = answer.committed else { return Ok((answer.decision, None)) };
        if let Some((decision, id)) = take(table, rule, hash, request.now, committed) {
            return Ok((decision, Some(id)));
        }
    }
}

/// Steps 2 and 3.
fn take<S: Storage, G: Geometry>(
    table: &Table<Leases, S, G>,
    rule: &Leases,
    hash: Hash,
    now: u64,
    Committed { owner, end }: Committed,
) -> Option<(Decision, LeaseId)> {
    let slot = table.bearers(hash).find(|slot| owned_by(slot, owner).is_some())?;
    let taken = loop {
        let scan = rule.scan(&slot.ring, now);
        let Some((nth, word)) = scan.free.filter(|_| rule.has_room(&scan)) else { break None };
        if scan.stale {
            for nth in nth.saturating_add(1)..rule.entries() {
                end_stale(slot.ring, nth, now);
            }
            continue;
        }
        let entry = Entry::unpack(word).next(now, end);
        if slot.ring.replace(nth, word, entry.pack()) {
            let id = LeaseId::new(hash.0, owner, nth, entry.nonce);
            break Some((rule.granted(&scan, end, now), id));
        }
    };
    while let Some((word, state)) = owned_by(&slot, owner) {
        match state.arrived() {
            Some(next) if !slot.swap(word, next.pack()) => {}
            _ => break,
        }
    }
    taken
}

/// The slot's state, if it is the key's, and of this generation.
fn owned_by(slot: &Bearer<'_>, owner: u16) -> Option<(u64, LeaseState)> {
    let word = slot.owned()?;
    let state = LeaseState::unpack(word);
    (state.owner == owner).then_some((word, state))
}

/// Makes sure that a lease which is over cannot be renewed; `false` if it is not over,
/// or was just then continued.
fn end_stale(ring: Ring<'_>, nth: usize, now: u64) -> bool {
    let word = ring.stamp(nth);
    let entry = Entry::unpack(word);
    entry.end == 0 || !entry.is_live(now) && ring.replace(nth, word, entry.over().pack())
}

/// Gives a lease back. Whether it was live until then.
pub(crate) fn release<S: Storage, G: Geometry>(
    table: &Table<Leases, S, G>,
    id: LeaseId,
    now: u64,
) -> bool {
    for slot in table.bearers(id.hash()) {
        if owned_by(&slot, id.owner()).is_none() {
            continue;
        }
        loop {
            let word = slot.ring.stamp(id.entry());
            let entry = Entry::unpack(word);
            if entry.nonce != id.nonce() || entry.end == 0 {
                return false;
            }
            // It fails when somebody else releases or renews.
            if slot.ring.replace(id.entry(), word, entry.over().pack()) {
                let_go(table.rule(), &slot, id.owner(), now);
                return entry.is_live(now);
            }
        }
    }
    false
}

/// Gives all leases of a key back. How many were live.
pub(crate) fn release_all<S: Storage, G: Geometry>(
    table: &Table<Leases, S, G>,
    hash: Hash,
    now: u64,
) -> u64 {
    let mut ended = 0_u64;
    for slot in table.bearers(hash) {
        let Some(word) = slot.owned() else { continue };
        for nth in 0..table.rule().entries() {
            let word = slot.ring.stamp(nth);
            let entry = Entry::unpack(word);
            // Who renews or releases just then came before or after.
            if entry.end > 0 && slot.ring.replace(nth, word, entry.over().pack()) {
                ended = ended.saturating_add(u64::from(entry.is_live(now)));
            }
        }
        let_go(table.rule(), &slot, LeaseState::unpack(word).owner, now);
    }
    ended
}

/// Keeps the slot no longer than `now` if no lease is live and nobody is coming.
/// That may go wrong in a race; the slot is then kept for as long as was said.
fn let_go(room: &Leases, slot: &Bearer<'_>, owner: u16, now: u64) {
    let Some((word, state)) = owned_by(slot, owner) else { return };
    if state.coming > 0 || room.scan(&slot.ring, now).live > 0 {
        return;
    }
    let over = (0..room.entries()).all(|nth| end_stale(slot.ring, nth, now));
    let next = state.letting_go(now);
    if over && next.keep < state.keep {
        slot.swap(word, next.pack());
    }
}

/// Continues a lease as if it were granted at `now` by `rule`, but never shortens it.
/// Whether it was live.
pub(crate) fn renew<S: Storage, G: Geometry>(
    table: &Table<Leases, S, G>,
    rule: &Leases,
    id: LeaseId,
    now: u64,
) -> bool {
    let end = rule.end(now);
    for slot in table.bearers(id.hash()) {
        while let Some((word, state)) = owned_by(&slot, id.owner()) {
            let seen = slot.ring.stamp(id.entry());
            let entry = Entry::unpack(seen);
            if entry.nonce != id.nonce() || !entry.is_live(now) {
                return false;
            }
            if entry.end >= end
                || slot.swap(word, state.keeping(end).pack())
                    && slot.ring.replace(id.entry(), seen, Entry { end, ..entry }.pack())
            {
                return true;
            }
        }
    }
    false
}
