//! QR codes of links: for phones, which nobody wants to type an address into.

use qrcode::{Color, EcLevel};
use std::fmt::Write;

/// Modules of light around a code, by which scanners find it. The standard asks for four.
const MARGIN: usize = 4;

/// A QR code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrCode {
    /// Modules in a row, the margin included.
    width: usize,
    /// Row by row, whether a module is dark.
    dark: Vec<bool>,
}

impl QrCode {
    /// The code of a text; `None` if it is too long for one (2,953 bytes).
    pub fn of(text: &str) -> Option<QrCode> {
        // The lowest level of correction: screens are clean, and the code is small.
        let code = qrcode::QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let (inner, colors) = (code.width(), code.to_colors());
        let width = inner + 2 * MARGIN;
        let mut dark = vec![false; width * width];
        for (row, colors) in colors.chunks(inner).enumerate() {
            let begin = (row + MARGIN) * width + MARGIN;
            for (module, color) in dark[begin..].iter_mut().zip(colors) {
                *module = *color == Color::Dark;
            }
        }
        Some(QrCode { width, dark })
    }

    /// Modules in a row, the margin included.
    pub fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> impl Iterator<Item = &[bool]> {
        self.dark.chunks(self.width)
    }

    /// The dark modules as the path of an SVG image, one unit for a module.
    pub fn svg_path(&self) -> String {
        let mut path = String::new();
        for (y, row) in self.rows().enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|one, next| one == next) {
                if run[0] {
                    let length = run.len();
                    write!(path, "M{x} {y}h{length}v1h-{length}z").expect("a text takes it");
                }
                x += run.len();
            }
        }
        path
    }

    /// Lines for a terminal, two rows of modules in each. What is light is drawn, as is right where
    /// letters are light and the ground is dark.
    pub fn lines(&self) -> Vec<String> {
        let rows: Vec<&[bool]> = self.rows().collect();
        let light = vec![false; self.width];
        let line = |pair: &[&[bool]]| {
            let below = pair.get(1).copied().unwrap_or(&light);
            let modules = pair[0].iter().zip(below);
            modules
                .map(|(above, below)| match (above, below) {
                    (false, false) => '█',
                    (false, true) => '▀',
                    (true, false) => '▄',
                    (true, true) => ' ',
                })
                .collect()
        };
        rows.chunks(2).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_draw_it_shows_the_same_modules() {
        let code = QrCode::of("https://192.0.2.7:7860/#code=abc").expect("short enough");
        let width = code.width();
        let is_dark = |x: usize, y: usize| code.dark[y * width + x];

        let mut of_path = vec![false; width * width];
        for run in code.svg_path().split('M').skip(1) {
            let numbers: Vec<usize> =
                run.split([' ', 'h', 'v', '-', 'z']).filter_map(|text| text.parse().ok()).collect();
            let [x, y, length, 1, _] = numbers[..] else { panic!("{run}") };
            of_path[y * width + x..][..length].fill(true);
        }
        assert_eq!(of_path, code.dark);

        for (line, text) in code.lines().iter().enumerate() {
            for (x, drawn) in text.chars().enumerate() {
                assert_eq!(is_dark(x, 2 * line), "▄ ".contains(drawn), "{x} {line}");
                let below = 2 * line + 1;
                assert_eq!(below < width && is_dark(x, below), "▀ ".contains(drawn), "{x} {line}");
            }
        }
    }

    #[test]
    fn it_has_the_patterns_by_which_scanners_find_it() {
        let code = QrCode::of("https://192.0.2.7:7860/").expect("short enough");
        let inner = code.width() - 2 * MARGIN;
        let corner = |left: usize, top: usize| {
            (0..7).all(|y| {
                (0..7).all(|x| {
                    let is_ring = x == 0 || x == 6 || y == 0 || y == 6;
                    let is_core = (2..5).contains(&x) && (2..5).contains(&y);
                    let at = (MARGIN + top + y) * code.width() + MARGIN + left + x;
                    code.dark[at] == (is_ring || is_core)
                })
            })
        };
        assert!(corner(0, 0) && corner(inner - 7, 0) && corner(0, inner - 7));
        let margin = code.rows().take(MARGIN).chain(code.rows().skip(MARGIN + inner));
        assert!(margin.flatten().all(|dark| !dark));
        assert_eq!(QrCode::of(&"x".repeat(3_000)), None);
    }
}
