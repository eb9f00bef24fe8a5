//! Where new keys go, and how full buckets get: the table of the design chapter.
//!
//! `cargo run --release --example placement [KEYS [SEEDS]]` simulates placement
//! alone (no states, no time): buckets of two rows of eight slots, 11.3 keys a
//! bucket, for several numbers of live keys from which a home bucket sends new
//! keys to the emptier of two. `tests/occupancy.rs` measures the real table.

const ROW: usize = 8;
const SLOTS: usize = 2 * ROW;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap_or(0)
    }
}

#[derive(Default)]
struct Found {
    first_row: u64,
    home: u64,
    saturated: bool,
}

fn fill(keys: usize, spill: usize, seed: u64, full: &mut u64) -> Found {
    let buckets = (keys * 24).div_ceil(SLOTS * 16 + 16);
    let mut rows = vec![[0_usize; 2]; buckets];
    let mut random = Random(seed);
    let mut found = Found::default();
    for _ in 0..keys {
        let home = random.below(buckets);
        let mut away = random.below(buckets);
        if away == home {
            away = (away + 1) % buckets;
        }
        let live = |bucket: usize| rows[bucket][0] + rows[bucket][1];
        let bucket = if live(home) < spill || live(home) <= live(away) { home } else { away };
        if live(bucket) == SLOTS {
            found.saturated = true;
            continue;
        }
        let preferred = random.below(2);
        let row = if rows[bucket][preferred] < ROW { preferred } else { 1 - preferred };
        rows[bucket][row] += 1;
        found.home += u64::from(bucket == home);
        found.first_row += u64::from(bucket == home && row == preferred);
    }
    *full += rows.iter().filter(|row| row[0] + row[1] == SLOTS).count() as u64;
    found
}

#[allow(clippy::cast_precision_loss)] // shares for people
fn main() {
    let mut args = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let keys = args.next().unwrap_or(1_000_000);
    let seeds = args.next().unwrap_or(10).max(1);
    println!("{keys} keys, {seeds} seeds");
    println!("home below  first row  home   full buckets  seeds saturated");
    for spill in [0, 10, 11, 12, 13, 14] {
        let (mut first_row, mut home, mut full, mut saturated) = (0, 0, 0, 0);
        for seed in 0..seeds {
            let found = fill(usize::try_from(keys).unwrap_or(1), spill, seed * 7919, &mut full);
            first_row += found.first_row;
            home += found.home;
            saturated += u64::from(found.saturated);
        }
        let share = |n: u64| 100.0 * n as f64 / (keys * seeds) as f64;
        println!(
            "{spill:>10}  {:>7.1} %  {:>4.1} %  {full:>12}  {saturated} of {seeds}",
            share(first_row),
            share(home)
        );
    }
}
