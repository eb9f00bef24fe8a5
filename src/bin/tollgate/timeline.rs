//! Requests over time, in a fixed number of columns.

/// At most so many columns; at least half of them once time has moved that far.
pub(crate) const COLUMNS: usize = 240;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
}

/// Columns of equal width that start at the first request. When time runs out
/// of the last one, neighbours are merged and all become twice as wide.
#[derive(Debug)]
pub(crate) struct Timeline {
    columns: [Column; COLUMNS],
    used: usize,
    start: u64,
    latest: u64,
    /// Seconds in a column.
    width: u64,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { columns: [Column::default(); COLUMNS], used: 0, start: 0, latest: 0, width: 1 }
    }

    /// Counts a request at `seconds`, which never step back.
    #[inline]
    pub(crate) fn add(&mut self, seconds: u64, denied: bool) {
        if self.used == 0 {
            self.start = seconds;
        }
        let mut at = self.index(seconds);
        while at >= COLUMNS {
            self.widen();
            at = self.index(seconds);
        }
        self.used = self.used.max(at + 1);
        self.latest = seconds;
        let column = &mut self.columns[at];
        if denied {
            column.denied += 1;
        } else {
            column.allowed += 1;
        }
    }

    fn index(&self, seconds: u64) -> usize {
        usize::try_from(seconds.saturating_sub(self.start) / self.width).unwrap_or(usize::MAX)
    }

    #[cold]
    fn widen(&mut self) {
        for at in 0..COLUMNS {
            self.columns[at] = sum(self.columns.get(2 * at..2 * at + 2).unwrap_or_default());
        }
        self.used = self.used.div_ceil(2);
        self.width = self.width.saturating_mul(2);
    }

    /// At most so many columns, the last of them with the last request, and
    /// their width in seconds.
    pub(crate) fn columns(&self, most: usize) -> (Vec<Column>, u64) {
        let (mut columns, mut width) = (self.columns[..self.used].to_vec(), self.width);
        while columns.len() > most.max(1) {
            columns = columns.chunks(2).map(sum).collect();
            width = width.saturating_mul(2);
        }
        (columns, width)
    }

    /// When the first and the last request were decided.
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        (self.used > 0).then_some((self.start, self.latest))
    }
}

fn sum(columns: &[Column]) -> Column {
    columns.iter().fold(Column::default(), |sum, one| Column {
        allowed: sum.allowed + one.allowed,
        denied: sum.denied + one.denied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(timeline: &Timeline) -> (u64, u64) {
        let [whole, part] = [COLUMNS, 60].map(|most| {
            let Column { allowed, denied } = sum(&timeline.columns(most).0);
            (allowed, denied)
        });
        assert_eq!(whole, part);
        whole
    }

    #[test]
    fn nothing_is_lost_when_columns_merge() {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.columns(60), (vec![], 1));
        assert_eq!(timeline.ends(), None);
        for n in 0..10_000_u64 {
            timeline.add(1_000_000_000 + n, n % 3 == 0);
            assert_eq!(sums(&timeline), (n + 1 - n.div_ceil(3).max(n / 3 + 1), n / 3 + 1));
        }
        for (most, expected) in [(60, 256), (COLUMNS, 64)] {
            let (columns, width) = timeline.columns(most);
            assert_eq!(width, expected);
            assert_eq!(columns.len() as u64, 10_000_u64.div_ceil(width));
            assert!(columns[..columns.len() - 1].iter().all(|c| c.allowed + c.denied == width));
        }
        assert_eq!(timeline.ends(), Some((1_000_000_000, 1_000_009_999)));
    }

    #[test]
    fn centuries_fit() {
        let mut timeline = Timeline::new();
        timeline.add(0, true);
        timeline.add(u64::MAX, false);
        assert_eq!(sums(&timeline), (1, 1));
        for most in [1, 60, COLUMNS] {
            assert!(timeline.columns(most).0.len() <= most);
        }
    }
}
