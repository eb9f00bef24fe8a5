//! First sight of a key: taking the ticket, claiming a slot, publishing it.
//! The steps are numbered as on the module's page.

use super::{
    Place, Refused, Slot, Table,
    geometry::Geometry,
    rule::{Request, Rule, Seen, Step},
    storage::Storage,
    words::{Held, bears, generation, is_claim, is_owned, is_vacant, successor, vacated},
};
use crate::sync;

/// How a first sight ended.
pub(super) enum Sight<A> {
    /// The key has a slot now, or needs none.
    Decided(A),
    /// Somebody else gave it one, or took our ticket and may do so: look again.
    Present,
    /// There is none to be had, or something is at fault.
    Refused(Refused),
}

/// Waits on a word that somebody else should change.
struct Patience {
    watched: u64,
    looks: u32,
}

impl Patience {
    const fn new() -> Self {
        Self { watched: 0, looks: 0 }
    }

    /// Whether `word` has been watched unchanged for long enough. Waits a moment.
    fn ran_out<G: Geometry>(&mut self, word: u64) -> bool {
        if self.watched != word {
            *self = Self { watched: word, looks: 0 };
        }
        self.looks = self.looks.saturating_add(1);
        if self.looks > G::PATIENCE {
            return true;
        }
        if self.looks < G::PATIENCE / 2 {
            sync::spin();
        } else {
            // The holder may be waiting for our processor.
            sync::thread::yield_now();
        }
        false
    }
}

/// A slot under our claim, and its key word as last read before that was so.
#[derive(Clone, Copy)]
pub(super) struct Claimed {
    slot: Slot,
    word: u64,
}

/// What a look through both buckets found.
pub(super) enum Look {
    /// A live slot bears the key.
    Live,
    /// This slot, which bears the key, is under our claim now.
    TakenOver(Claimed),
    /// No slot bears the key.
    Absent,
    /// Something changed on the way.
    Again,
}

/// What came of choosing a slot to claim.
enum Choice {
    Claimed(Claimed),
    Refused(Refused),
    /// None was free, but this one is claimed by somebody else.
    Busy {
        slot: Slot,
        word: u64,
        claim: u64,
    },
    Again,
}

impl<R: Rule, S: Storage, G: Geometry> Table<R, S, G> {
    pub(super) fn first_sight(
        &self,
        rule: &R,
        place: &Place,
        request: &Request,
    ) -> Sight<R::Answer> {
        let held = self.take_ticket(place.home);
        let sight = self.insert(rule, place, request, held);
        self.ticket(place.home).release(held);
        sight
    }

    /// Step 1.
    pub(super) fn take_ticket(&self, home: usize) -> Held {
        let ticket = self.ticket(home);
        let mut patience = Patience::new();
        let mut victim = 0;
        loop {
            if let Some(held) = ticket.take(victim) {
                return held;
            }
            let holder = ticket.holder();
            if holder != 0 && patience.ran_out::<G>(holder) {
                victim = holder;
            }
        }
    }

    fn insert(&self, rule: &R, place: &Place, request: &Request, held: Held) -> Sight<R::Answer> {
        let claim = held.claim(place.home as u64, self.layout.buckets as u64);
        let mut patience = Patience::new();
        loop {
            let mut own = match self.look(place, claim) {
                Look::Live => return Sight::Present,
                Look::TakenOver(own) => Some(own),
                Look::Absent => None,
                Look::Again => continue,
            };
            // Read after the look: whoever reclaimed a slot of this key had
            // raised the floor before its key word, or its claim, was seen.
            let floor = match self.floor_of(place, request) {
                Ok(floor) => floor,
                Err(refused) => {
                    if let Some(own) = own {
                        self.give_up(own, claim);
                    }
                    return Sight::Refused(refused);
                }
            };
            let seen = Seen::Fresh { floor, generation: 0 };
            if let Step::Answer(answer) = rule.decide(request, seen, super::Ring::EMPTY) {
                if let Some(own) = own {
                    self.give_up(own, claim);
                }
                return Sight::Decided(answer);
            }
            if own.is_none() {
                match self.choose(place, request, claim) {
                    Choice::Claimed(claimed) => own = Some(claimed),
                    Choice::Refused(refused) => {
                        // A thief may have given the key one of those slots.
                        return if self.ticket(place.home).confirm(held) {
                            Sight::Refused(refused)
                        } else {
                            Sight::Present
                        };
                    }
                    Choice::Busy { slot, word, claim: theirs } => {
                        if patience.ran_out::<G>(theirs) {
                            let state = self.row(slot.row).state(slot.nth);
                            if state.swap(theirs, claim) {
                                own = Some(Claimed { slot, word });
                            }
                        }
                    }
                    Choice::Again => {}
                }
            }
            let Some(own) = own else { continue };
            // Step 4.
            let Some(own) = self.bear(own, claim, place.tag) else {
                continue;
            };
            // Step 5.
            if !self.ticket(place.home).confirm(held) {
                self.give_up(own, claim);
                return Sight::Present;
            }
            // Step 6.
            if let Some(answer) = self.publish(rule, place, own, claim, request) {
                return Sight::Decided(answer);
            }
        }
    }

    /// Step 2.
    pub(super) fn look(&self, place: &Place, claim: u64) -> Look {
        let mut own = None;
        for at in Self::rows(place) {
            // The ticket was taken: whatever was published under it before is seen here.
            if self.spot_in(at, place.tag).find().is_none() {
                continue;
            }
            let row = self.row(at);
            for nth in 0..G::ROW {
                let slot = Slot { row: at, nth };
                let word = row.key(nth).load();
                if !bears(word, place.tag) {
                    continue;
                }
                let state = row.state(nth).load();
                if is_owned(state) {
                    // The state was loaded after the key, and may be a successor's.
                    if row.key(nth).again() != word {
                        return Look::Again;
                    }
                    if let Some(own) = own {
                        self.give_up(own, claim);
                    }
                    return Look::Live;
                }
                if state != claim && !row.state(nth).swap(state, claim) {
                    if let Some(own) = own {
                        self.give_up(own, claim);
                    }
                    return Look::Again;
                }
                let claimed = Claimed { slot, word };
                if own.is_none() {
                    own = Some(claimed);
                } else {
                    self.give_up(claimed, claim);
                }
            }
        }
        // Whoever took a slot away from this key raised the floor before; who read the
        // key word that came then reads that floor from here on.
        sync::acquire();
        own.map_or(Look::Absent, Look::TakenOver)
    }

    /// Step 3.
    fn choose(&self, place: &Place, request: &Request, claim: u64) -> Choice {
        let home = self.survey(place.home, place.tag, request);
        if home.taken < G::SPILL && home.free.is_some_and(|free| free.keyless) {
            return self.claim_free(place.home, home.free, claim);
        }
        if place.away == place.home {
            return match home.free {
                Some(_) => self.claim_free(place.home, home.free, claim),
                None => self.none_free(&home, None, request),
            };
        }
        if home.taken < G::SPILL && home.free.is_some() && !self.seems_to_have_keyless(place.away) {
            return self.claim_free(place.home, home.free, claim);
        }
        let away = self.survey(place.away, place.tag, request);
        let home_it_is = match (home.free, away.free) {
            (None, None) => return self.none_free(&home, Some(&away), request),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            // Rather a slot without a key than one whose key may come back, where
            // neither bucket is short of room.
            (Some(h), Some(a))
                if h.keyless != a.keyless && home.taken.max(away.taken) < G::SPILL =>
            {
                h.keyless
            }
            (Some(_), Some(_)) => home.taken < G::SPILL || home.taken <= away.taken,
        };
        if home_it_is {
            self.claim_free(place.home, home.free, claim)
        } else {
            self.claim_free(place.away, away.free, claim)
        }
    }

    /// A glance, for a choice that may be wrong.
    fn seems_to_have_keyless(&self, bucket: usize) -> bool {
        (0..G::ROWS).any(|row| self.spot_in(bucket * G::ROWS + row, 0).find().is_some())
    }

    /// Step 3, for models.
    #[cfg(all(test, loom))]
    pub(super) fn claim_one(&self, place: &Place, now: u64, claim: u64) -> Option<Claimed> {
        match self.choose(place, &Request::new(now, 1), claim) {
            Choice::Claimed(claimed) => Some(claimed),
            _ => None,
        }
    }

    fn claim_free(&self, bucket: usize, free: Option<Free>, claim: u64) -> Choice {
        let Some(free) = free else {
            return Choice::Again;
        };
        self.floor(bucket).raise(free.since);
        if self.row(free.slot.row).state(free.slot.nth).swap(free.state, claim) {
            Choice::Claimed(Claimed { slot: free.slot, word: free.word })
        } else {
            Choice::Again
        }
    }

    /// Looks through a bucket for a slot that may be claimed.
    fn survey(&self, bucket: usize, tag: u64, request: &Request) -> Survey {
        let mut survey = Survey { taken: 0, free: None, busy: None, far: None, soonest: u64::MAX };
        let furthest = request.latest.saturating_add(self.rule.furthest_free());
        let first = super::preferred::<G>(tag);
        for i in 0..G::ROWS {
            let at = bucket * G::ROWS + (first + i) % G::ROWS;
            let row = self.row(at);
            for nth in 0..G::ROW {
                let slot = Slot { row: at, nth };
                // The key word first: see step 4.
                let word = row.key(nth).load();
                let state = row.state(nth).load();
                if is_claim(state) {
                    survey.taken += 1;
                    survey.busy.get_or_insert((slot, word, state));
                    continue;
                }
                let ring = self.ring(slot);
                // Not "or has no key": the state may be of whoever came since.
                let since = if is_vacant(state) { 0 } else { self.rule.free_at(state, ring) };
                if since <= request.now {
                    // A slot without a key, or else the one whose key has been
                    // good as new for longest: it is the least likely to come back.
                    let keyless = bears(word, 0);
                    if survey
                        .free
                        .is_none_or(|best| !best.keyless && (keyless || since < best.since))
                    {
                        survey.free = Some(Free { slot, word, state, since, keyless });
                    }
                    continue;
                }
                if since > furthest {
                    survey.far.get_or_insert((slot, state));
                }
                survey.taken += 1;
                survey.soonest = survey.soonest.min(since.saturating_sub(request.now));
            }
        }
        survey
    }

    /// What to do where no slot is free. States that no honest clock explains
    /// are repaired now, or they would hold their slots for as long as they lie
    /// ahead; but only by who has asked the clock, since one caller whose `now`
    /// is far behind must not forgive others.
    fn none_free(&self, home: &Survey, away: Option<&Survey>, request: &Request) -> Choice {
        let (mut busy, mut far, mut soonest) = (home.busy, home.far, home.soonest);
        if let Some(away) = away {
            busy = busy.or(away.busy);
            far = far.or(away.far);
            soonest = soonest.min(away.soonest);
        }
        if let Some((slot, word, claim)) = busy {
            return Choice::Busy { slot, word, claim };
        }
        match far {
            Some((slot, state)) if request.repair => {
                let word = self.row(slot.row).state(slot.nth);
                let unchanged = || word.load() == state;
                let next = self.rule.repair(request, state, self.ring(slot), unchanged);
                word.swap(state, next);
                Choice::Again
            }
            Some(_) => Choice::Refused(Refused::Fault),
            None => Choice::Refused(Refused::Saturated { soonest }),
        }
    }

    /// Step 4: makes the slot bear our key; `None` if the claim is lost.
    pub(super) fn bear(&self, mut own: Claimed, claim: u64, tag: u64) -> Option<Claimed> {
        let row = self.row(own.slot.row);
        let (key, state) = (row.key(own.slot.nth), row.state(own.slot.nth));
        loop {
            let next = successor(own.word, tag);
            if key.swap(own.word, next) {
                return Some(Claimed { word: next, ..own });
            }
            own.word = key.load();
            if state.load() != claim {
                return None;
            }
        }
    }

    /// Leaves a slot that is under our claim without a key, free for anybody.
    fn give_up(&self, own: Claimed, claim: u64) {
        if let Some(own) = self.bear(own, claim, 0) {
            self.row(own.slot.row).state(own.slot.nth).swap(claim, vacated(claim));
        }
    }

    /// Step 6; `None` if the claim is lost, or the floor rose so far that the
    /// question must be asked again.
    fn publish(
        &self,
        rule: &R,
        place: &Place,
        own: Claimed,
        claim: u64,
        request: &Request,
    ) -> Option<R::Answer> {
        // Read again under the claim: the floor is then above every earlier
        // state of this slot, whoever reclaimed it, so none of them returns.
        let Ok(floor) = self.floor_of(place, request) else {
            self.give_up(own, claim);
            return None;
        };
        let seen = Seen::Fresh { floor, generation: generation(own.word) };
        let ring = self.ring(own.slot);
        let Step::Commit(next, answer) = rule.decide(request, seen, ring) else {
            self.give_up(own, claim);
            return None;
        };
        rule.write(request, seen, ring);
        self.row(own.slot.row).state(own.slot.nth).swap(claim, next).then_some(answer)
    }
}

/// A slot that may be claimed, as it was seen.
#[derive(Clone, Copy)]
struct Free {
    slot: Slot,
    word: u64,
    state: u64,
    since: u64,
    /// No key was there to lose it.
    keyless: bool,
}

/// One bucket, as it was seen.
struct Survey {
    /// Live or claimed slots.
    taken: usize,
    free: Option<Free>,
    busy: Option<(Slot, u64, u64)>,
    /// A state further ahead than any honest one.
    far: Option<(Slot, u64)>,
    /// Ticks until the soonest live slot is free.
    soonest: u64,
}
