//! Sizes for people.

/// A number of bytes for people, as `1.2 GB`: at most three digits.
pub fn show_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            let digits = if unit == "B" || value >= 99.5 { 0 } else { 1 };
            return format!("{value:.digits$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_short() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (6_300_000, "6.3 MB"),
            (986_000_000, "986 MB"),
            (999_600_000, "1.0 GB"),
            (4_700_000_000, "4.7 GB"),
            (1_500_000_000_000, "1.5 TB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(show_bytes(bytes), expected);
        }
    }
}
