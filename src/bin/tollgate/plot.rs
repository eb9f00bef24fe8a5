//! `--plot FILE`: how many requests were allowed and denied over time, as SVG.
//!
//! A request counts once, whatever the number of limits that had a say in it, as
//! in the report's own picture; so there is one panel.

use crate::{
    failure::Failure,
    figures::{grouped, share, span},
    report::Sums,
    text::cut,
    ticks::{self, Times},
    timeline::{COLUMNS, Timeline},
};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::io;

const SIZE: (u32, u32) = (960, 420);

// One is light and one dark, one bluish and one reddish: they are told apart with
// any eyes, and on paper without colours.
const ALLOWED: RGBColor = RGBColor(0x43, 0x93, 0xC3);
const DENIED: RGBColor = RGBColor(0x7A, 0x1F, 0x00);
const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// The head, with title and legend; the chart is below.
const HEAD: i32 = 76;
const LEFT: i32 = 24;
/// Characters of the title: as many as there is room for, where each is wide.
const WIDEST_TITLE: usize = 80;
/// Text that begins at its place.
const BESIDE: Pos = Pos { h_pos: HPos::Left, v_pos: VPos::Center };

/// A shorter time is drawn with some room around it.
const FEWEST_COLUMNS: u64 = 20;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// The picture, a whole SVG document.
pub(crate) fn render(title: &str, sums: &Sums, timeline: &Timeline) -> Result<String, Failure> {
    let mut svg = String::new();
    draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), title, sums, timeline)
        .map_err(|e| Failure::new(format!("--plot: {e}")))?;
    Ok(svg)
}

fn draw(area: &Area<'_>, title: &str, sums: &Sums, timeline: &Timeline) -> Drawn {
    area.fill(&PAPER)?;
    head(area, title, sums)?;
    if let Some(ends) = timeline.ends() {
        chart(area, timeline, ends)?;
    } else {
        let middle = (SIZE.0.cast_signed() / 2, SIZE.1.cast_signed() / 2);
        let centred = text(16).pos(Pos::new(HPos::Center, VPos::Center));
        area.draw_text("no requests", &centred, middle)?;
    }
    area.present()
}

/// The title, and below it the legend, which has the sums.
fn head(area: &Area<'_>, title: &str, sums: &Sums) -> Drawn {
    let heading = TextStyle { font: text(18).font.style(FontStyle::Bold), ..text(18) }.pos(BESIDE);
    area.draw_text(&cut(title, WIDEST_TITLE), &heading, (LEFT, 26))?;
    let mut x = LEFT;
    for (name, colour, count) in
        [("allowed", ALLOWED, sums.allowed), ("denied", DENIED, sums.denied)]
    {
        area.draw(&Rectangle::new([(x, 46), (x + 14, 60)], colour.filled()))?;
        let entry = match &*share(count, sums.requests) {
            "" => format!("{name}: {}", grouped(count)),
            share => format!("{name}: {} ({share})", grouped(count)),
        };
        area.draw_text(&entry, &text(14).pos(BESIDE), (x + 20, 53))?;
        x += 240;
    }
    Ok(())
}

/// Columns over time: what was denied stands on what was allowed.
fn chart(area: &Area<'_>, timeline: &Timeline, (first, last): (u64, u64)) -> Drawn {
    let (columns, width) = timeline.columns(COLUMNS);
    let highest = columns.iter().map(|c| c.allowed + c.denied).max().unwrap_or(0);
    let counts = ticks::counts(highest);
    let top = counts.last().copied().unwrap_or(1);
    // About seven pixels a digit, beside what stands upright.
    let beside = 48 + 7 * u32::try_from(grouped(top).len()).unwrap_or(0);

    let used = columns.len() as u64;
    let around = FEWEST_COLUMNS.saturating_sub(used).div_ceil(2) * width;
    let from = first.saturating_sub(around);
    let to = first + used * width + around;
    let times = Times::between(from, to);

    let (_, below) = area.split_vertically(HEAD);
    let mut chart = ChartBuilder::on(&below)
        .margin_left(12)
        .margin_right(44)
        .margin_bottom(12)
        .x_label_area_size(52)
        .y_label_area_size(beside)
        .build_cartesian_2d(
            (from..to).with_key_points(times.marks.clone()),
            (0..top).with_key_points(counts),
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .set_all_tick_mark_size(5)
        .label_style(text(12))
        .axis_desc_style(text(14))
        .x_label_formatter(&|seconds| times.label(*seconds))
        .y_label_formatter(&|count| grouped(*count))
        .x_desc(format!("UTC, {}", ticks::days(first, last)))
        .y_desc(if width == 1 {
            "Requests per second".to_owned()
        } else {
            format!("Requests per {}", span(width))
        })
        .draw()?;

    let pixel = |at: u64, count: u64| chart.plotting_area().map_coordinate(&(at, count));
    for (nth, column) in (0..).zip(&columns) {
        let at = first + nth * width;
        let ((left, base), (right, _)) = (pixel(at, 0), pixel(at + width, 0));
        let mut bottom = base;
        let mut count = 0;
        for (more, colour) in [(column.allowed, ALLOWED), (column.denied, DENIED)] {
            if more > 0 {
                count += more;
                // Something never looks like nothing.
                let upper = pixel(at, count).1.min(bottom - 1);
                area.draw(&Rectangle::new([(left, upper), (right, bottom)], colour.filled()))?;
                bottom = upper;
            }
        }
    }
    Ok(())
}

/// Text of so many pixels. No font is loaded: whoever shows the picture has one.
fn text(size: u32) -> TextStyle<'static> {
    // The backend divides the size by this.
    let font = FontDesc::new(FontFamily::SansSerif, f64::from(size) * 1.24, FontStyle::Normal);
    TextStyle::from(font).color(&INK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.1).
    fn luminance(RGBColor(r, g, b): RGBColor) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    #[test]
    fn colours_differ_in_lightness() {
        for (light, dark) in [(PAPER, ALLOWED), (ALLOWED, DENIED), (PAPER, DENIED)] {
            let contrast = (luminance(light) + 0.05) / (luminance(dark) + 0.05);
            // What WCAG asks of graphics.
            assert!(contrast >= 3.0, "{light:?} {dark:?} {contrast}");
        }
    }
}
