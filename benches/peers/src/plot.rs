//! The picture: what a check costs over the number of keys.

use crate::{
    measure::Timing,
    report::Group,
    scenario::{Effort, summaries, timed},
    subject::{Kind, Scenario},
};
use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// Who is drawn, from the slowest to the fastest, so that the legend has the
/// order of the lines.
const DRAWN: [(Kind, RGBColor); 4] = [
    (Kind::GovernorAhash, RGBColor(0xC8, 0x4B, 0x11)),
    (Kind::Tollgate, RGBColor(0x0B, 0x4F, 0x9E)),
    (Kind::TollgateBatch, RGBColor(0x2B, 0x9A, 0xC4)),
    (Kind::Floor, RGBColor(0x77, 0x77, 0x77)),
];

/// Half decades, as near as whole keys get.
const KEYS: [usize; 11] =
    [100, 316, 1_000, 3_162, 10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000];

/// How often all sizes are measured, each time with new limiters: what the
/// machine does meanwhile, and where tables come to lie, then shows in no single
/// point.
const SWEEPS: usize = 3;

/// Measures what is drawn, one thread; `done` is called with each size.
pub(crate) fn measure(effort: Effort, mut done: impl FnMut(&Group)) -> Result<Vec<Group>> {
    let most = if effort == Effort::Quick { 1_000_000 } else { 10_000_000 };
    // In this order tollgate comes first, as elsewhere.
    let kinds: Vec<_> =
        Kind::ALL.into_iter().filter(|kind| DRAWN.iter().any(|(drawn, _)| drawn == kind)).collect();
    let sizes: Vec<_> = KEYS.into_iter().filter(|keys| *keys <= most).collect();
    let rounds = effort.rounds().div_ceil(SWEEPS);
    let mut timings: Vec<Vec<Timing>> = vec![Vec::new(); sizes.len()];
    for _ in 0..SWEEPS {
        for (all, &keys) in timings.iter_mut().zip(&sizes) {
            for new in timed(Scenario::Keyed, &kinds, keys, &[1], (rounds, effort.ops()))? {
                add(all, new);
            }
            done(&group(keys, all));
        }
    }
    Ok(timings.iter().zip(&sizes).map(|(timings, &keys)| group(keys, timings)).collect())
}

/// Adds another sweep's rounds.
fn add(all: &mut Vec<Timing>, new: Vec<Timing>) {
    if all.is_empty() {
        *all = new;
        return;
    }
    for (old, new) in all.iter_mut().zip(new) {
        old.rounds.extend(new.rounds);
    }
}

fn group(keys: usize, timings: &[Timing]) -> Group {
    Group {
        scenario: Scenario::Keyed,
        keys: Some(keys as u64),
        threads: Some(1),
        measured: summaries(timings),
    }
}

/// The points of one line.
fn points(groups: &[Group], kind: Kind) -> Vec<(f64, f64)> {
    groups
        .iter()
        .filter_map(|group| {
            let measured = group.measured.iter().find(|measured| measured.kind == kind)?;
            Some((group.keys? as f64, measured.time?.median))
        })
        .collect()
}

/// The picture as SVG.
pub(crate) fn draw(groups: &[Group]) -> Result<String> {
    let lines = DRAWN.map(|(kind, color)| (kind, color, points(groups, kind)));
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    let (left, right) = range(all().map(|(x, _)| *x)).ok_or_else(|| anyhow!("nothing to draw"))?;
    let (low, high) = range(all().map(|(_, y)| *y)).ok_or_else(|| anyhow!("nothing to draw"))?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (800, 480)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption("What a check costs, by the number of keys", ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(60)
            .build_cartesian_2d(
                (left * 0.9..right * 1.1).log_scale(),
                (low * 0.8..high * 1.25).log_scale().with_key_points(ticks(low, high)),
            )?;
        chart
            .configure_mesh()
            .x_desc("keys, all known, asked for in random order by one thread")
            .y_desc("nanoseconds per check, median")
            .axis_desc_style(("sans-serif", 15))
            .label_style(("sans-serif", 13))
            .x_labels(11)
            .x_label_formatter(&|keys| power_of_ten(*keys))
            .y_label_formatter(&|ns| format!("{ns:.0}"))
            .bold_line_style(RGBColor(0xDD, 0xDD, 0xDD))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (kind, color, points) in &lines {
            let style = color.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
                .label(label(*kind))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .legend_area_size(28)
            .margin(12)
            .label_font(("sans-serif", 14))
            .background_style(WHITE)
            .border_style(RGBColor(0xBB, 0xBB, 0xBB))
            .draw()?;
        root.present()?;
    }
    svg.push('\n');
    Ok(svg)
}

fn label(kind: Kind) -> String {
    let name = kind.name();
    match kind {
        Kind::TollgateBatch => format!("{name} (one clock reading for 64)"),
        Kind::Floor => format!("{name} (clock, hash, one random line)"),
        _ => name.to_owned(),
    }
}

/// The least and the greatest.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// 1, 2 and 5 of each decade that the axis shows.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    (0..7)
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(decade)))
        .filter(|tick| (low * 0.8..=high * 1.25).contains(tick))
        .collect()
}

/// Powers of ten as such, nothing for what lies between.
fn power_of_ten(keys: f64) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    (0..10)
        .zip(DIGITS)
        .find(|(power, _)| (keys / 10_f64.powi(*power) - 1.0).abs() < 1e-6)
        .map_or_else(String::new, |(_, digit)| format!("10{digit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure::Summary, report::Measured};

    #[test]
    fn every_line_is_drawn_and_named() {
        let group = |keys: u64| Group {
            scenario: Scenario::Keyed,
            keys: Some(keys),
            threads: Some(1),
            measured: DRAWN
                .iter()
                .map(|&(kind, _)| Measured {
                    kind,
                    time: Some(Summary { median: 50.0, quartiles: (49.0, 51.0), ratio: 1.0 }),
                    bytes_per_key: None,
                })
                .collect(),
        };
        let svg = draw(&[group(100), group(1000)]).unwrap();
        for (kind, _) in DRAWN {
            assert!(svg.contains(kind.name()), "{}", kind.name());
        }
        assert!(svg.contains("10²") && svg.contains("nanoseconds per check"), "{svg}");
        assert!(draw(&[]).is_err());
    }

    #[test]
    fn labels_of_axes() {
        assert_eq!([100.0, 316.0, 1e7].map(power_of_ten), ["10²", "", "10⁷"]);
        assert_eq!(ticks(30.0, 400.0), [50.0, 100.0, 200.0, 500.0]);
    }
}
