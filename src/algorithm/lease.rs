//! Leases: so many at a time, each for a while.
//!
//! A key has one *entry* for each lease it may have: when the lease ends, and a
//! *nonce* that tells it from the entry's earlier leases. An entry whose end has
//! passed is free, so a holder that died holds nothing up for longer than it said.
//! An end of 0 says that the lease was given back, or seen to be over: it can no
//! longer be renewed.
//!
//! The state word says until when the slot must stay the key's. How the two are
//! changed together is in `limiter/leasing.rs`; here is what they mean.

use super::{Stamps, Verdict};
use crate::{
    decision::Decision,
    time::{MAX_DEBT, SLACK, TICKS_PER_NANO, last_now},
};

/// The most leases a key can have: their numbers have 16 bits, and one is nobody's.
pub(crate) const MAX_LEASES: u64 = 0xFFFF;

/// Leases end at whole milliseconds since the table's epoch.
const TICKS_PER_MS: u64 = 1_000_000 * TICKS_PER_NANO;

/// Slots are kept for whole units of 1024 ms.
const MS_PER_UNIT: u64 = 1024;
const TICKS_PER_UNIT: u64 = MS_PER_UNIT * TICKS_PER_MS;

const END_BITS: u32 = 40;
const END_MASK: u64 = (1 << END_BITS) - 1;
const NONCE_BITS: u32 = 24;
const NONCE_MASK: u32 = (1 << NONCE_BITS) - 1;

/// The state word, from the top: 2 bits of nothing, until when, whose, how many
/// are about to take an entry, and a sequence number.
const KEEP_BITS: u32 = 30;
const KEEP_MASK: u64 = (1 << KEEP_BITS) - 1;
const OWNER_BITS: u32 = 16;
const COMING_BITS: u32 = 5;
const SEQUENCE_BITS: u32 = 11;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

/// So many that it is not known any more.
const MANY: u64 = (1 << COMING_BITS) - 1;

/// So many leases at a time, of so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leases {
    most: u64,
    ttl: u64,
    /// The most leases that any quota of the same limiter allows: the entries of a key.
    entries: u64,
    /// The longest that any of them lasts, in ticks.
    longest: u64,
}

/// A lease as its entry has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Milliseconds since the epoch; 0: given back, or seen to be over.
    pub(crate) end: u64,
    /// 24 bits.
    pub(crate) nonce: u32,
}

impl Entry {
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // masked
    pub(crate) const fn unpack(word: u64) -> Self {
        Self { end: word >> NONCE_BITS, nonce: word as u32 & NONCE_MASK }
    }

    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        (self.end & END_MASK) << NONCE_BITS | (self.nonce & NONCE_MASK) as u64
    }

    /// When it ends, in ticks.
    #[inline]
    pub(crate) const fn end_ticks(self) -> u64 {
        self.end.saturating_mul(TICKS_PER_MS)
    }

    #[inline]
    pub(crate) const fn is_live(self, now: u64) -> bool {
        self.end_ticks() > now
    }

    /// Over, but it could still be renewed by who thinks that it is not.
    #[inline]
    pub(crate) const fn is_stale(self, now: u64) -> bool {
        self.end > 0 && !self.is_live(now)
    }

    /// The same, over for good.
    #[inline]
    pub(crate) const fn over(self) -> Self {
        Self { end: 0, ..self }
    }

    /// The lease that follows in this entry, taken at `now` ticks.
    ///
    /// Nonces go up, and with the time where that is further: a key that comes back
    /// in another slot, whose entries have their own numbers, has not the nonces of
    /// before either.
    #[allow(clippy::cast_possible_truncation)] // masked
    pub(crate) const fn next(self, now: u64, end: u64) -> Self {
        let clock = (now / TICKS_PER_MS) as u32 & NONCE_MASK;
        let ahead = clock.wrapping_sub(self.nonce) & NONCE_MASK;
        let nonce = if ahead > 0 && ahead <= NONCE_MASK / 2 {
            clock
        } else {
            self.nonce.wrapping_add(1) & NONCE_MASK
        };
        Self { end, nonce }
    }
}

/// The state word, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseState {
    /// Until when the slot is the key's, in units.
    pub(crate) keep: u64,
    /// The generation of the key that has the slot.
    pub(crate) owner: u16,
    /// How many have committed, and not said yet that they took their entry.
    pub(crate) coming: u64,
    /// Raised by every commit.
    pub(crate) sequence: u64,
}

impl LeaseState {
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // that many bits are the field
    pub(crate) const fn unpack(word: u64) -> Self {
        Self {
            keep: word >> (OWNER_BITS + COMING_BITS + SEQUENCE_BITS) & KEEP_MASK,
            owner: (word >> (COMING_BITS + SEQUENCE_BITS)) as u16,
            coming: word >> SEQUENCE_BITS & MANY,
            sequence: word & SEQUENCE_MASK,
        }
    }

    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        (self.keep & KEEP_MASK) << (OWNER_BITS + COMING_BITS + SEQUENCE_BITS)
            | (self.owner as u64) << (COMING_BITS + SEQUENCE_BITS)
            | (self.coming & MANY) << SEQUENCE_BITS
            | self.sequence & SEQUENCE_MASK
    }

    /// From when on another key may have the slot, in ticks.
    #[inline]
    pub(crate) const fn free_at(self) -> u64 {
        self.keep.saturating_mul(TICKS_PER_UNIT)
    }

    /// The slot is kept at least until `end` ms.
    #[inline]
    pub(crate) fn keeping(self, end: u64) -> Self {
        Self { keep: self.keep.max(end.div_ceil(MS_PER_UNIT)), ..self }.moved_on()
    }

    /// The slot need not be kept beyond `now` ticks: nothing is live, and nobody is coming.
    pub(crate) fn letting_go(self, now: u64) -> Self {
        Self { keep: self.keep.min(now.div_ceil(TICKS_PER_UNIT)), ..self }.moved_on()
    }

    #[inline]
    const fn moved_on(self) -> Self {
        Self { sequence: self.sequence.wrapping_add(1) & SEQUENCE_MASK, ..self }
    }

    /// One more is about to take an entry.
    #[inline]
    fn expecting(self) -> Self {
        Self { coming: self.coming.saturating_add(1).min(MANY), ..self }
    }

    /// One has taken its entry, or found none; `None` if there is nothing to note.
    #[inline]
    pub(crate) const fn arrived(self) -> Option<Self> {
        match self.coming {
            0 | MANY => None,
            coming => Some(Self { coming: coming.saturating_sub(1), ..self }),
        }
    }
}

/// What a look at all entries of a key found. Ends are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) live: u64,
    /// The earliest end of a live lease; `u64::MAX` if there is none.
    first: u64,
    /// The latest; 0 if there is none.
    last: u64,
    /// The first entry that is free, and its word.
    pub(crate) free: Option<(usize, u64)>,
    /// Whether a lease after that entry is over, but could yet be renewed.
    pub(crate) stale: bool,
}

impl Leases {
    /// For a limiter with room for so many `entries` of so long at the `longest`, or
    /// as many and as long as here if that is more. `None` for no leases, too many, or
    /// a time that is nothing or too long.
    pub(crate) fn new(most: u64, ttl: u64, entries: u64, longest: u64) -> Option<Self> {
        let (entries, longest) = (entries.max(most), longest.max(ttl));
        if most == 0 || entries > MAX_LEASES || ttl == 0 || longest > MAX_DEBT {
            return None;
        }
        Some(Self { most, ttl, entries, longest })
    }

    /// What differs between quotas of one limiter.
    pub(crate) const fn numbers(&self) -> [u64; 3] {
        [self.most, self.ttl, 0]
    }

    /// Another quota of the same limiter, by its numbers: how many leases (of none,
    /// none is ever granted), and how long they last, in ticks.
    #[inline]
    pub(crate) const fn with_numbers(&self, [most, ttl, _]: [u64; 3]) -> Self {
        Self { most, ttl, ..*self }
    }

    /// The most leases and the longest time that any quota may have.
    pub(crate) const fn room(&self) -> (u64, u64) {
        (self.entries, self.longest)
    }

    /// The same with room for so many leases and such a time; `None` if this one has more.
    #[cfg(feature = "shared")]
    pub(crate) fn with_room(self, entries: u64, longest: u64) -> Option<Self> {
        let enough = self.entries <= entries && self.longest <= longest;
        Self::new(self.most, self.ttl, entries, longest).filter(|_| enough)
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.most
    }

    #[allow(clippy::cast_possible_truncation)] // 16 bits
    pub(crate) const fn entries(&self) -> usize {
        self.entries as usize
    }

    pub(crate) const fn last_now(&self) -> u64 {
        last_now(self.longest)
    }

    /// When a lease of `now` ends, in milliseconds, rounded up. At least one tick
    /// after `now`.
    #[inline]
    pub(crate) const fn end(&self, now: u64) -> u64 {
        now.saturating_add(self.ttl).div_ceil(TICKS_PER_MS)
    }

    /// Looks at all entries.
    #[inline]
    pub(crate) fn scan(&self, ring: &impl Stamps, now: u64) -> Scan {
        let mut scan = Scan { live: 0, first: u64::MAX, last: 0, free: None, stale: false };
        for nth in 0..self.entries() {
            let word = ring.stamp(nth);
            let entry = Entry::unpack(word);
            if entry.is_live(now) {
                scan.live = scan.live.saturating_add(1);
                scan.first = scan.first.min(entry.end);
                scan.last = scan.last.max(entry.end);
            } else if scan.free.is_none() {
                scan.free = Some((nth, word));
            } else {
                scan.stale |= entry.is_stale(now);
            }
        }
        scan
    }

    /// Whether one more lease may be had beside those of `scan`.
    #[inline]
    pub(crate) const fn has_room(&self, scan: &Scan) -> bool {
        scan.live < self.most && scan.free.is_some()
    }

    /// Decides on `cost` leases at `now`, of a key that has a slot: one, or a look at none.
    /// Times further ahead of `latest` than any honest one are a fault.
    #[inline]
    pub(crate) fn decide(
        &self,
        state: LeaseState,
        ring: &impl Stamps,
        now: u64,
        latest: u64,
        cost: u64,
    ) -> Verdict<LeaseState> {
        let scan = self.scan(ring, now);
        if self.is_far(scan.last, latest) || state.free_at() > self.furthest(latest) {
            return Verdict::Fault;
        }
        match cost {
            0 => Verdict::Answer(self.seen(&scan, now, 0)),
            1 if self.has_room(&scan) => {
                let end = self.end(now);
                Verdict::Charge(state.keeping(end).expecting(), self.granted(&scan, end, now))
            }
            1 if self.most > 0 => {
                Verdict::Answer(self.seen(&scan, now, self.retry(&scan, ring, now)))
            }
            _ => Verdict::Answer(self.seen(&scan, now, Decision::NEVER)),
        }
    }

    /// The same for a key without a slot, whose leases, if it ever had any, had all
    /// ended by `floor`. Until then they may all be there.
    pub(crate) fn decide_fresh(
        &self,
        owner: u16,
        floor: u64,
        now: u64,
        cost: u64,
    ) -> Verdict<LeaseState> {
        let wait = floor.saturating_sub(now);
        let room = if wait == 0 { self.most } else { 0 };
        if cost != 1 || room == 0 {
            let retry = match cost {
                0 => 0,
                1 if self.most > 0 => wait,
                _ => Decision::NEVER,
            };
            return Verdict::Answer(Decision::from_count(self.most, room, wait, wait, retry));
        }
        let end = self.end(now);
        let state = LeaseState { keep: 0, owner, coming: 0, sequence: 0 };
        let none = Scan { live: 0, first: u64::MAX, last: 0, free: None, stale: false };
        Verdict::Charge(state.keeping(end).expecting(), self.granted(&none, end, now))
    }

    /// What is told to who got a lease until `end` beside those of `scan`.
    pub(crate) fn granted(&self, scan: &Scan, end: u64, now: u64) -> Decision {
        let live = scan.live.saturating_add(1);
        self.seen(
            &Scan { live, first: scan.first.min(end), last: scan.last.max(end), ..*scan },
            now,
            0,
        )
    }

    fn seen(&self, scan: &Scan, now: u64, retry: u64) -> Decision {
        let until = |end: u64| end.saturating_mul(TICKS_PER_MS).saturating_sub(now);
        let (reset, full) =
            if scan.live == 0 { (0, 0) } else { (until(scan.first), until(scan.last)) };
        let left = self.most.saturating_sub(scan.live);
        Decision::from_count(self.most, left, reset, full, retry)
    }

    /// When enough of the live leases will have ended at the latest.
    fn retry(&self, scan: &Scan, ring: &impl Stamps, now: u64) -> u64 {
        let leave = scan.live.saturating_sub(self.most.min(self.entries)).saturating_add(1);
        let mut end = scan.first;
        if leave > 1 {
            // The quota was lowered: the end of the so manieth. By halves, for there
            // is nowhere to sort them.
            let ended_by = |at: u64| {
                let ends = (0..self.entries()).map(|nth| Entry::unpack(ring.stamp(nth)));
                ends.filter(|entry| entry.is_live(now) && entry.end <= at).count() as u64
            };
            let mut latest = scan.last;
            while end < latest {
                let mid = end.midpoint(latest);
                if ended_by(mid) < leave { end = mid.saturating_add(1) } else { latest = mid }
            }
        }
        end.saturating_mul(TICKS_PER_MS).saturating_sub(now).max(1)
    }

    /// From when on, in ticks, no lease granted until `latest` can be live, nor its
    /// slot be kept, whatever clocks differ.
    const fn furthest(&self, latest: u64) -> u64 {
        latest.saturating_add(self.furthest_free())
    }

    /// How far ahead the end of keeping a slot can honestly be.
    pub(crate) const fn furthest_free(&self) -> u64 {
        self.longest.saturating_add(TICKS_PER_UNIT).saturating_add(SLACK)
    }

    /// Whether no honest lease ends then.
    const fn is_far(&self, end: u64, latest: u64) -> bool {
        end.saturating_mul(TICKS_PER_MS) > self.furthest(latest)
    }

    /// A lease that replaces one which cannot be honest: as if it were granted now
    /// for the longest time. `None`: it can be.
    pub(crate) const fn repaired_entry(&self, entry: Entry, latest: u64) -> Option<Entry> {
        if self.is_far(entry.end, latest) {
            Some(Entry { end: self.longest_end(latest), ..entry })
        } else {
            None
        }
    }

    /// The state that replaces one which cannot be honest, or whose leases cannot.
    pub(crate) fn repaired(&self, state: LeaseState, latest: u64) -> LeaseState {
        let honest = state.free_at() <= self.furthest(latest);
        let keep = if honest { state.keep } else { 0 };
        LeaseState { keep, coming: MANY, ..state }.keeping(self.longest_end(latest))
    }

    const fn longest_end(&self, latest: u64) -> u64 {
        latest.saturating_add(self.longest).div_ceil(TICKS_PER_MS)
    }

    /// What a look tells of such a state.
    pub(crate) const fn look_at_fault(&self, latest: u64, now: u64) -> Decision {
        let wait = self.longest_end(latest).saturating_mul(TICKS_PER_MS).saturating_sub(now);
        Decision::from_count(self.most, 0, wait, wait, 0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: u64 = TICKS_PER_MS;

    struct Words(Vec<u64>);

    impl Stamps for Words {
        fn stamp(&self, entry: usize) -> u64 {
            self.0.get(entry).copied().unwrap_or(0)
        }
    }

    fn ends(ends: &[u64]) -> Words {
        Words(ends.iter().map(|end| Entry { end: *end, nonce: 7 }.pack()).collect())
    }

    #[test]
    fn words_hold_their_parts() {
        for state in [
            LeaseState { keep: KEEP_MASK, owner: 0xFFFF, coming: MANY, sequence: SEQUENCE_MASK },
            LeaseState { keep: 1, owner: 2, coming: 3, sequence: 4 },
            LeaseState { keep: KEEP_MASK, owner: 0, coming: 0, sequence: 0 },
            LeaseState { keep: 0, owner: 0xFFFF, coming: 0, sequence: 0 },
        ] {
            assert_eq!(LeaseState::unpack(state.pack()), state);
            assert!(state.pack() < 0x7F << 56, "below the table's own");
        }
        for entry in [Entry { end: END_MASK, nonce: NONCE_MASK }, Entry { end: 1, nonce: 2 }] {
            assert_eq!(Entry::unpack(entry.pack()), entry);
        }
        // The longest lease at the end of time fits in both.
        let rule = Leases::new(1, MAX_DEBT, 0, 0).unwrap();
        let end = rule.end(rule.last_now());
        assert!(end <= END_MASK && end.div_ceil(MS_PER_UNIT) <= KEEP_MASK);
    }

    #[test]
    fn ends_are_rounded_up() {
        let rule = Leases::new(1, 10 * MS, 0, 0).unwrap();
        assert_eq!([0, 1, MS - 1, MS, MS + 1].map(|now| rule.end(now)), [10, 11, 11, 11, 12]);
        let entry = Entry { end: 10, nonce: 0 };
        assert!(entry.is_live(10 * MS - 1) && !entry.is_live(10 * MS));
        assert!(entry.is_stale(10 * MS) && !entry.over().is_stale(10 * MS));
        // Kept at least that long, and less than a unit longer.
        let state = LeaseState::unpack(0).keeping(1025);
        assert_eq!(state.free_at(), 2 * TICKS_PER_UNIT);
        assert_eq!(state.keeping(1).free_at(), 2 * TICKS_PER_UNIT, "never shorter");
        assert_eq!(state.letting_go(1).free_at(), TICKS_PER_UNIT);
        assert_eq!(state.letting_go(u64::MAX).keep, 2, "never longer");
    }

    /// By hand: five entries, of which one is over and one was given back.
    #[test]
    fn a_scan_by_hand() {
        let rule = Leases::new(4, 10 * MS, 5, 0).unwrap();
        let ring = ends(&[30, 20, 0, 50, 10]);
        let scan = rule.scan(&ring, 10 * MS);
        assert_eq!((scan.live, scan.first, scan.last), (3, 20, 50));
        assert_eq!(scan.free.map(|(nth, _)| nth), Some(2));
        assert!(scan.stale, "the last could be renewed by a clock behind");
        assert!(
            !rule.scan(&ends(&[10, 20, 0, 50, 0]), 10 * MS).stale,
            "the free one itself counts not"
        );
        assert!(rule.has_room(&scan));
        assert!(!rule.with_numbers([3, 10 * MS, 0]).has_room(&scan));
        // Nothing is free: one more could not be had whatever the numbers say.
        assert!(!rule.with_numbers([9, 1, 0]).has_room(&rule.scan(&ends(&[9; 5]), 0)));
    }

    /// A lowered number waits for as many ends as it takes, those at one instant each
    /// for itself.
    #[test]
    fn retry_is_the_end_of_the_so_manieth() {
        let all = [50, 20, 20, 40, 30];
        let ring = ends(&all);
        let mut sorted = all;
        sorted.sort_unstable();
        for most in 1..=5 {
            let rule = Leases::new(most, 10 * MS, 5, 0).unwrap();
            let Verdict::Answer(d) = rule.decide(LeaseState::unpack(0), &ring, 3, 3, 1) else {
                panic!()
            };
            let end = sorted[usize::try_from(5 - most).unwrap()] * 1_000_000;
            assert_eq!(d.retry_after().unwrap().as_nanos(), u128::from(end), "{most}");
        }
    }

    #[test]
    fn more_than_one_at_once_is_never_granted() {
        let rule = Leases::new(4, 10 * MS, 0, 0).unwrap();
        let never = |verdict| matches!(verdict, Verdict::Answer::<LeaseState>(d) if d.outcome() == crate::Outcome::Never);
        assert!(never(rule.decide(LeaseState::unpack(0), &ends(&[]), 0, 0, 2)));
        assert!(never(rule.decide_fresh(0, 0, 0, u64::MAX)));
        let none = rule.with_numbers([0, MS, 0]);
        assert!(never(none.decide(LeaseState::unpack(0), &ends(&[]), 0, 0, 1)));
        assert!(never(none.decide_fresh(0, 0, 0, 1)));
    }

    /// Also behind the time at which leases of before may have ended.
    #[test]
    fn a_fresh_key_waits_for_the_floor() {
        let rule = Leases::new(2, 10 * MS, 0, 0).unwrap();
        let ask = |now, cost| match rule.decide_fresh(1, 100, now, cost) {
            Verdict::Answer(d) | Verdict::Charge(_, d) => d,
            _ => panic!(),
        };
        assert!(ask(99, 1).is_denied() && ask(99, 0).remaining() == 0);
        assert!(ask(100, 1).is_allowed() && ask(100, 0).remaining() == 2);
        let Verdict::Charge(state, _) = rule.decide_fresh(9, 0, 5, 1) else { panic!() };
        assert_eq!((state.owner, state.coming, state.keep), (9, 1, 1));
    }

    #[test]
    fn nonces_go_up() {
        let mut entry = Entry { end: 0, nonce: 0 };
        for now in [0, 0, 0, 5 * MS, 5 * MS, 4 * MS, 6 * MS, 100 * MS] {
            let next = entry.next(now, 1);
            let up = next.nonce.wrapping_sub(entry.nonce) & NONCE_MASK;
            assert!(up > 0 && up <= NONCE_MASK / 2, "{entry:?} {next:?}");
            entry = next;
        }
        assert_eq!(entry.nonce, 100);
        let last = Entry { end: 0, nonce: NONCE_MASK };
        assert_eq!(last.next(0, 1).nonce, 0);
        assert_eq!(last.next(MS * (1 << NONCE_BITS), 1).nonce, 0);
    }

    #[test]
    fn who_is_coming_arrives() {
        let none = LeaseState::unpack(0);
        assert_eq!(none.arrived(), None);
        let two = none.expecting().expecting();
        assert_eq!(two.arrived().unwrap().arrived(), Some(none));
        let mut many = none;
        for _ in 0..100 {
            many = many.expecting();
        }
        assert_eq!((many.coming, many.arrived()), (MANY, None), "so many that nobody knows");
    }
}
