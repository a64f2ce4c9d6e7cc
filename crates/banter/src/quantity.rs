//! Reads sizes as people write them: `512MiB`, `4GB`, `1048576`.

/// Reads a number of bytes: digits, at most one fraction, and a unit (B, K, M, G, T; `KiB` and
/// `K` are 1,024, `KB` is 1,000). Returns `None` for anything else or when it does not fit.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let factor = unit_bytes(unit.trim())?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let fraction: f64 = number.parse().ok()?;
    let bytes = fraction * factor as f64;
    // From 2^53 on an `f64` cannot count single bytes.
    (0.0..9_007_199_254_740_992.0).contains(&bytes).then_some(bytes as u64)
}

fn unit_bytes(unit: &str) -> Option<u64> {
    let upper = unit.to_ascii_uppercase();
    let (letter, thousand) = match upper.as_str() {
        "" | "B" => return Some(1),
        one if one.len() == 1 => (one, 1024_u64),
        two if two.len() == 2 && two.ends_with('B') => (&two[..1], 1000),
        three if three.len() == 3 && three.ends_with("IB") => (&three[..1], 1024),
        _ => return None,
    };
    let power = "KMGT".find(letter)? as u32 + 1;
    Some(thousand.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("0", Some(0)),
            ("1048576", Some(1_048_576)),
            ("1MiB", Some(1_048_576)),
            ("1 M", Some(1_048_576)),
            ("2gb", Some(2_000_000_000)),
            ("1.5GiB", Some(1_610_612_736)),
            ("", None),
            ("-1", None),
            ("1e3", None),
            ("1..5G", None),
            ("many", None),
            ("5 parsecs", None),
            ("99999999999999999999", None),
            ("99999999T", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_bytes(text), expected, "{text:?}");
        }
    }
}
