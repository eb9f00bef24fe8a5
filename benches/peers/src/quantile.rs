//! Quantiles of a few figures.

/// The value below which the share `q` of `values` lies, interpolated between
/// the two next to it. NaN without values.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q.clamp(0.0, 1.0) * last as f64;
    // Between 0 and `last`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0));
        assert!(near(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5));
        assert!(near(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0));
        assert!(near(quantile(&[7.0], 0.75), 7.0));
        assert!(quantile(&[], 0.5).is_nan());
    }
}
