//! Lines over time: panels one below the other, with the same seconds from left to right.

use std::fmt::Write as _;

use super::svg::{COLORS, Series, WIDTH, escaped, open, rounded_up, rule, spoken};

const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 110.0;
/// Of one panel, with its title.
const HEIGHT: f64 = 170.0;
const TITLE: f64 = 28.0;

/// Some lines that share an axis upwards, which begins at 0.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    pub(super) lines: Vec<Series>,
}

/// Draws all panels.
pub(super) fn over_time(title: &str, panels: &[Panel<'_>]) -> String {
    let points = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let last = points.map(|(x, _)| *x).fold(1.0, f64::max);
    let mut svg = open(30.0 + panels.len() as f64 * HEIGHT + 40.0, title);
    let x_of = |x: f64| LEFT + x / last * (RIGHT - LEFT);
    for (at, panel) in panels.iter().enumerate() {
        draw(&mut svg, panel, 30.0 + at as f64 * HEIGHT, &x_of);
    }
    let bottom = 30.0 + panels.len() as f64 * HEIGHT;
    let step = rounded_up(last / 8.0);
    for mark in (0..=8).map(|mark| f64::from(mark) * step).take_while(|mark| *mark <= last) {
        let x = x_of(mark);
        let _ = writeln!(
            svg,
            "<text class=\"s\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            spoken(mark)
        );
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">seconds</text>", bottom + 34.0);
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel<'_>, from: f64, x_of: &dyn Fn(f64) -> f64) {
    let (top, bottom) = (from + TITLE, from + HEIGHT - 8.0);
    let highest = panel.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max);
    let most = rounded_up(highest);
    let y_of = |y: f64| bottom - y / most * (bottom - top);
    let _ = writeln!(svg, "<text x=\"8\" y=\"{:.1}\">{}</text>", from + 18.0, escaped(panel.title));
    rule(svg, (LEFT, RIGHT), 2, most, &y_of);
    for (at, line) in panel.lines.iter().enumerate() {
        let color = COLORS[at % COLORS.len()];
        let path: Vec<String> = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
        let y = top + 12.0 + at as f64 * 20.0;
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{}\"/>\
             <rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{color}\"/><text x=\"{}\" y=\"{y}\">{}</text>",
            path.join(" "),
            RIGHT + 10.0,
            y - 10.0,
            RIGHT + 24.0,
            escaped(&line.name),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_share_their_seconds_and_have_an_axis_each() {
        let line = |points: &[(f64, f64)]| Series { name: "a&b".to_owned(), points: points.to_vec() };
        let panels = [
            Panel { title: "one", lines: vec![line(&[(0.0, 0.0), (100.0, 10.0)])] },
            Panel { title: "two", lines: vec![line(&[(50.0, 3_000.0)]), line(&[])] },
        ];
        let svg = over_time("t", &panels);
        assert!(svg.contains(&format!("{RIGHT:.1},58.0")), "the last second is at the right, the most above: {svg}");
        assert!(svg.contains("a&amp;b") && svg.contains(">3,200<") && !svg.contains("NaN"), "{svg}");
        assert!(!over_time("t", &[]).contains("NaN"));
    }
}
