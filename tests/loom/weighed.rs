//! Charges that are weighed first and made later, as a policy does.

use super::*;

/// As [`ask`], by weighing first.
fn weigh_then_make<R: Rule<Answer = Decision>, const SLOTS: usize>(
    table: &Tab<R, SLOTS>,
    key: Hash,
    now: u64,
    cost: u64,
) -> Option<Decision> {
    let request = Request::new(now * TICKS_PER_NANO, cost);
    let spot = table.spot(key);
    match table.weigh(table.rule(), &spot, spot.find(), &request) {
        Some((answer, Some(weighed))) if table.make(table.rule(), weighed, &request) => {
            Some(answer)
        }
        Some((answer, None)) => Some(answer),
        _ => ask(table, key, now, cost),
    }
}

#[test]
fn weighed_last_unit() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(weigh_then_make(&other, K, 2, 1)));
        let ours = allowed(weigh_then_make(&table, K, 1, 1));
        assert_eq!(ours + theirs.join().unwrap(), 1);
    });
}

/// J takes K's slot, whose state is as good as new, between the weighing and the making.
#[test]
fn weighed_against_reclaim() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || ask(&other, J, 12, 1));
        let ours = weigh_then_make(&table, K, 12, 1);
        // Whoever finds no slot is told nothing, least of all what the other is told.
        assert_eq!(allowed(ours) + allowed(theirs.join().unwrap()), 1);
        let (winner, loser) = if ours.is_some() { (K, J) } else { (J, K) };
        assert_eq!(ask(&table, winner, 12, 1).map(|d| d.is_allowed()), Some(false));
        assert_eq!(ask(&table, loser, 12, 1), None);
    });
}

/// A refund beside it makes the state another one, though as much is left.
#[test]
fn weighed_beside_a_refund() {
    model(3, 2, || {
        let table = table::<_, 1>(gcra("1/10ns burst 2"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || {
            let back = Ask::GiveBack { charged: TICKS_PER_NANO, weight: 0 };
            let _ = operate(&other, K, 1, 1, back);
            allowed(ask(&other, K, 1, 1))
        });
        let ours = allowed(weigh_then_make(&table, K, 1, 1));
        assert_eq!(ours + theirs.join().unwrap(), 2);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 0);
    });
}

#[test]
fn log_weighed_last_unit() {
    model(3, 2, || {
        let table = table::<_, 1>(log("2/10ns"), 1);
        assert_eq!(allowed(ask(&table, K, 1, 1)), 1);
        let other = table.clone();
        let theirs = spawn(move || allowed(weigh_then_make(&other, K, 3, 1)));
        let ours = allowed(weigh_then_make(&table, K, 2, 1));
        let theirs = theirs.join().unwrap();
        assert_eq!(ours + theirs, 1);
        // As in `log_last_unit`: the unit of 1 leaves at 11, the other at 12 or 13.
        assert_eq!(allowed(ask(&table, K, 11, 1)), 1);
        assert!(theirs == 0 || allowed(ask(&table, K, 12, 1)) == 0);
        assert_eq!(allowed(ask(&table, K, 13, 1)), 1);
        assert_eq!(allowed(ask(&table, K, 13, 1)), 0);
    });
}

/// What a policy does with two limits: weigh both, make both charges, and give the first
/// back where the second says no after all. `None`: denied.
fn both<const SLOTS: usize>(tables: &[Arc<Tab<Gcra, SLOTS>>; 2], now: u64) -> Option<()> {
    let [first, second] = tables;
    let look = |table: &Tab<Gcra, SLOTS>| operate(table, K, now, 1, Ask::Look);
    if allowed(look(first)) + allowed(look(second)) < 2 {
        return None;
    }
    let charged = weigh_then_make(first, K, now, 1).filter(Decision::is_allowed)?;
    if allowed(weigh_then_make(second, K, now, 1)) == 1 {
        return Some(());
    }
    let weight = charged.charge().map_or(0, |charge| charge.weight_of(1));
    let back = Ask::GiveBack { charged: now * TICKS_PER_NANO, weight };
    let _ = operate(first, K, now, 1, back);
    None
}

/// Two requests of both limits, and one unit left in the second: who loses the race for it
/// has taken nothing from the first.
#[test]
fn weighed_twice_and_undone() {
    model(2, 2, || {
        let tables = [table::<_, 1>(gcra("1/10ns burst 5"), 1), table(gcra("1/10ns burst 2"), 1)];
        for table in &tables {
            assert_eq!(allowed(ask(table, K, 1, 1)), 1);
        }
        let others = tables.clone();
        let theirs = spawn(move || usize::from(both(&others, 1).is_some()));
        let ours = usize::from(both(&tables, 1).is_some());
        let passed = ours + theirs.join().unwrap();
        // Nobody else comes, so one of the two passes, and nobody beyond the limit.
        assert_eq!(passed, 1);
        let [first, second] = tables.map(|table| ask(&table, K, 1, 0).unwrap().remaining());
        assert_eq!((first, second), (3, 0));
    });
}
