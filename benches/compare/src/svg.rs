//! Bar charts.

use std::fmt::Write as _;

/// Bars under one heading.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) bars: Vec<Bar>,
}

/// A bar, with the span of the runs as a line across its end.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: &'static str,
    pub(crate) low: f64,
    pub(crate) value: f64,
    pub(crate) high: f64,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const ROW: f64 = 18.0;
const COLOURS: [&str; 6] = ["#9aa5b1", "#1f6f54", "#3f9f7c", "#b8642e", "#7a6bb0", "#5b8db8"];

/// A chart of all groups, one below the other.
pub(crate) fn chart(title: &str, unit: &str, groups: &[Group]) -> String {
    let all = groups.iter().flat_map(|group| &group.bars);
    let most = all.map(|bar| bar.high).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LEFT - 80.0) / most;
    let mut body = String::new();
    let mut y = 44.0;
    for group in groups {
        let _ = writeln!(
            body,
            r#"<text x="10" y="{:.0}" font-weight="bold">{}</text>"#,
            y + 12.0,
            group.name
        );
        y += ROW + 2.0;
        for (bar, colour) in group.bars.iter().zip(COLOURS.iter().cycle()) {
            draw(&mut body, bar, colour, y, scale);
            y += ROW;
        }
        y += 10.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"16\">{title} ({unit})</text>\n{body}</svg>\n"
    )
}

fn draw(body: &mut String, bar: &Bar, colour: &str, y: f64, scale: f64) {
    let x = |value: f64| LEFT + value * scale;
    let digits = if bar.value < 100.0 { 2 } else { 0 };
    let _ = writeln!(
        body,
        "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
         <path d=\"M{:.1} {:.1}H{:.1}\" stroke=\"#222\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{:.digits$}</text>",
        LEFT - 6.0,
        y + 12.0,
        bar.label,
        y + 2.0,
        (bar.value * scale).max(1.0),
        ROW - 4.0,
        x(bar.low),
        y + ROW / 2.0,
        x(bar.high),
        x(bar.high) + 6.0,
        y + 12.0,
        bar.value
    );
}
