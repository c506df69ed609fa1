//! Two kinds of plots, as SVG that is at home on light and dark pages.

use std::fmt::Write as _;

pub(super) const WIDTH: f64 = 720.0;
const BAR: f64 = 22.0;
const GAP: f64 = 8.0;
const LEFT: f64 = 170.0;
/// What names beside a plot take: a letter of the style's font, and what is around them.
const LETTER: f64 = 7.5;
const AROUND: f64 = 40.0;
pub(super) const COLORS: [&str; 7] = ["#2563eb", "#0891b2", "#7c3aed", "#d97706", "#dc2626", "#059669", "#6b7280"];

const STYLE: &str = "<style>text{font:13px system-ui,sans-serif;fill:#1f2937}.t{font-weight:600;font-size:15px}\
.g{stroke:#d1d5db;stroke-width:1}.s{fill:#6b7280}@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.s{fill:#9ca3af}\
.g{stroke:#4b5563}}</style>";

/// A line of a plot, or a bar's color.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

pub(super) fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">{STYLE}<text class=\"t\" x=\"8\" y=\"20\">{title}</text>\n",
        title = escaped(title)
    )
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Horizontal bars, each with its number.
pub(super) fn bars(title: &str, bars: &[(String, f64)]) -> String {
    let height = 40.0 + bars.len() as f64 * (BAR + GAP);
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = open(height, title);
    for (at, (name, value)) in bars.iter().enumerate() {
        let y = 34.0 + at as f64 * (BAR + GAP);
        let width = (value / most * (WIDTH - LEFT - 90.0)).max(1.0);
        let (middle, color) = (y + 15.0, color_of(name, at));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"{middle}\">{}</text>",
            LEFT - 8.0,
            escaped(name),
            LEFT + width + 6.0,
            spoken(*value),
        );
    }
    svg + "</svg>\n"
}

/// A system keeps its color from plot to plot.
fn color_of(name: &str, otherwise: usize) -> &'static str {
    let known =
        ["stampede-embedded", "stampede-sqlite", "stampede-postgres", "bullmq", "celery-prefork", "celery-gevent"];
    COLORS[known.iter().position(|known| *known == name).unwrap_or(otherwise) % COLORS.len()]
}

/// Lines from left to right at so many equal steps from zero to the most, with their values.
pub(super) fn rule(svg: &mut String, (left, right): (f64, f64), steps: u32, most: f64, y_of: &dyn Fn(f64) -> f64) {
    for step in 0..=steps {
        let value = most * f64::from(step) / f64::from(steps);
        let y = y_of(value);
        let _ = writeln!(
            svg,
            "<line class=\"g\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"s\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            y + 4.0,
            spoken(value),
        );
    }
}

/// Lines over a logarithmic axis from left to right, from zero upwards.
pub(super) fn lines(title: &str, below: &str, series: &[Series]) -> String {
    let longest = series.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let names = (AROUND + LETTER * longest as f64).max(170.0);
    let (left, right, top, bottom) = (64.0, WIDTH - names, 40.0, 320.0);
    let mut svg = open(bottom + 48.0, title);
    let points = || series.iter().flat_map(|line| line.points.iter().copied());
    let (first, last) = points().fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), (x, _)| (low.min(x), high.max(x)));
    let most = rounded_up(points().map(|(_, y)| y).fold(f64::MIN_POSITIVE, f64::max));
    let width = (last.ln() - first.ln()).max(f64::MIN_POSITIVE);
    let x_of = |x: f64| left + (x.max(first).ln() - first.ln()) / width * (right - left);
    let y_of = |y: f64| bottom - y / most * (bottom - top);
    rule(&mut svg, (left, right), 4, most, &y_of);
    let mut marks: Vec<f64> = points().map(|(x, _)| x).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let _ = writeln!(
            svg,
            "<text class=\"s\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x_of(mark),
            bottom + 18.0,
            spoken(mark)
        );
    }
    let middle = f64::midpoint(left, right);
    let below_y = bottom + 38.0;
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{below_y}\" text-anchor=\"middle\">{}</text>", escaped(below));
    for (at, line) in series.iter().enumerate() {
        let color = color_of(&line.name, at);
        let path: Vec<String> = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" points=\"{}\"/>",
            path.join(" ")
        );
        for (x, y) in &line.points {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\"/>", x_of(*x), y_of(*y));
        }
        let y = top + 14.0 + at as f64 * 20.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{color}\"/><text x=\"{}\" y=\"{y}\">{}</text>",
            right + 14.0,
            y - 10.0,
            right + 30.0,
            escaped(&line.name),
        );
    }
    svg + "</svg>\n"
}

/// The next number of which quarters are good to read.
pub(super) fn rounded_up(value: f64) -> f64 {
    let size = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * size).find(|step| *step >= value).unwrap_or(value)
}

/// A number as one says it: no more digits than matter.
pub(super) fn spoken(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let rest = rest.trim_end_matches('0');
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let said = [0.0, 0.1234, 1.5, 12.34, 123.4, 1_234_567.0].map(spoken);
        assert_eq!(said, ["0", "0.123", "1.5", "12.3", "123", "1,234,567"]);
    }

    #[test]
    fn an_axis_ends_at_a_round_number_above_the_largest() {
        assert_eq!([3.1, 0.9, 100.0, 101.0].map(rounded_up), [3.2, 1.0, 100.0, 120.0]);
    }

    #[test]
    fn the_longest_bar_is_the_largest_number_and_names_are_escaped() {
        let svg = bars("a < b", &[("bullmq".to_owned(), 50.0), ("x&y".to_owned(), 100.0)]);
        assert!(svg.contains("a &lt; b") && svg.contains("x&amp;y"));
        assert!(svg.contains("width=\"230.0\"") && svg.contains("width=\"460.0\""), "{svg}");
    }

    #[test]
    fn a_line_goes_from_edge_to_edge_also_with_a_single_point() {
        let series = |points: &[(f64, f64)]| [Series { name: "n".to_owned(), points: points.to_vec() }];
        let svg = lines("t", "shoppers", &series(&[(10.0, 1.0), (1000.0, 2.0)]));
        assert!(svg.contains("points=\"64.0,") && svg.contains(" 550.0,"), "{svg}");
        assert!(!lines("t", "shoppers", &series(&[(10.0, 1.0)])).contains("NaN"));
        let long = Series { name: "n".repeat(30), points: vec![(10.0, 1.0), (1000.0, 2.0)] };
        assert!(lines("t", "shoppers", &[long]).contains(" 455.0,"), "a long name gets its room");
    }
}
