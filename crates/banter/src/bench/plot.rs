//! Speed by streams and by cached tokens, drawn as SVG: two charts side by side.

use std::fmt::Write;

use super::figures::STREAM_CACHED;
use super::report::{Report, Row};
use super::task::Task;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 48.0;

/// A line of a chart.
struct Line {
    name: &'static str,
    colour: &'static str,
    /// The position on the scale, and the tokens per second.
    points: Vec<(usize, f64)>,
}

/// Draws a report.
pub fn svg(report: &Report) -> String {
    let streams = |row: &Row| match row.task {
        Task::Generate { sequences, cached, .. } if report.options.streams.contains(&sequences) => {
            (cached == STREAM_CACHED).then_some(sequences)
        }
        _ => None,
    };
    let depths = |row: &Row| match row.task {
        Task::Generate { sequences: 1, cached, .. } => Some(cached),
        _ => None,
    };
    let mut svg = String::new();
    write_svg(&mut svg, report, &streams, &depths).expect("strings take everything");
    svg
}

type Place<'a> = &'a dyn Fn(&Row) -> Option<usize>;

fn write_svg(svg: &mut String, report: &Report, streams: Place, depths: Place) -> std::fmt::Result {
    let (width, height) = (2.0 * WIDTH, HEIGHT + 40.0);
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"#
    )?;
    writeln!(svg, r##"<rect width="{width}" height="{height}" fill="#fff"/>"##)?;
    write_chart(svg, 0.0, "tokens/s by streams", &lines(report, streams))?;
    write_chart(svg, WIDTH, "tokens/s by cached tokens, one stream", &lines(report, depths))?;
    writeln!(svg, "</svg>")
}

/// One line for each engine, its points from left to right.
fn lines(report: &Report, place: Place) -> Vec<Line> {
    let line = |name, colour, seconds: &dyn Fn(&Row) -> Option<f64>| {
        let points =
            report.rows.iter().filter_map(|row| Some((place(row)?, row.rate(seconds(row)?))));
        let mut points: Vec<_> = points.collect();
        points.sort_by_key(|(place, _)| *place);
        points.dedup_by_key(|(place, _)| *place);
        Line { name, colour, points }
    };
    let ours = line("banter", "#1f6feb", &|row| Some(row.seconds));
    let other_name = report.sides.get(1).map_or("", |side| side.engine.name());
    let other = line(other_name, "#c4451c", &|row| Some(row.other.as_ref()?.seconds));
    let limit = line("limit", "#999", &|row| Some(row.seconds * row.limit_share));
    [limit, other, ours].into_iter().filter(|line| !line.points.is_empty()).collect()
}

fn write_chart(svg: &mut String, left: f64, title: &str, lines: &[Line]) -> std::fmt::Result {
    let most =
        lines.iter().flat_map(|line| &line.points).map(|(_, rate)| *rate).fold(1.0, f64::max);
    let mut places: Vec<usize> =
        lines.iter().flat_map(|line| &line.points).map(|(place, _)| *place).collect();
    places.sort_unstable();
    places.dedup();
    let step = (WIDTH - 2.0 * MARGIN) / (places.len().max(2) - 1) as f64;
    // The positions have equal distances, because each is twice the one before.
    let x = |place: &usize| {
        left + MARGIN + step * places.iter().position(|p| p == place).unwrap_or(0) as f64
    };
    let y = |rate: f64| MARGIN + (HEIGHT - MARGIN) * (1.0 - rate / most);
    writeln!(svg, r#"<text x="{}" y="20" font-weight="bold">{title}</text>"#, left + MARGIN)?;
    for part in 0..=4 {
        let rate = most * f64::from(part) / 4.0;
        let (start, end, y) = (left + MARGIN, left + WIDTH - MARGIN, y(rate));
        writeln!(
            svg,
            r##"<line x1="{start}" x2="{end}" y1="{y:.1}" y2="{y:.1}" stroke="#e5e5e5"/>"##
        )?;
        writeln!(
            svg,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{rate:.0}</text>"#,
            start - 6.0,
            y + 4.0
        )?;
    }
    for place in &places {
        let (x, y) = (x(place), HEIGHT + 18.0);
        writeln!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{place}</text>"#)?;
    }
    for (index, Line { name, colour, points }) in lines.iter().enumerate() {
        let path: Vec<String> =
            points.iter().map(|(place, rate)| format!("{:.1},{:.1}", x(place), y(*rate))).collect();
        let path = path.join(" ");
        writeln!(
            svg,
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#
        )?;
        let (x, y) = (left + MARGIN + 90.0 * index as f64, HEIGHT + 36.0);
        writeln!(svg, r#"<text x="{x}" y="{y}" fill="{colour}">{name}</text>"#)?;
    }
    Ok(())
}
