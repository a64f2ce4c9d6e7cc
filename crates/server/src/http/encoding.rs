//! The choice of a file's compressed form by what the client accepts.

use axum::http::{HeaderMap, header};

/// A form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

/// The forms, from the smallest to the largest.
const FORMS: [Encoding; 3] = [Encoding::Brotli, Encoding::Gzip, Encoding::Identity];

impl Encoding {
    /// Its name in `Content-Encoding`. The uncompressed file has none.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Brotli => Some("br"),
            Encoding::Gzip => Some("gzip"),
            Encoding::Identity => None,
        }
    }

    /// The form to send: of the forms that exist, the one that the client prefers, and of equals
    /// the smallest. A client that excludes all of them gets the uncompressed file.
    pub(super) fn choose(headers: &HeaderMap, exists: impl Fn(Encoding) -> bool) -> Encoding {
        let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
        let accepted: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
        let accepted = accepted.join(",");
        let weighed = FORMS.into_iter().filter(|form| exists(*form));
        let weighed = weighed.map(|form| (form, weight(&accepted, form)));
        let mut best = (Encoding::Identity, 0.0);
        for (form, weight) in weighed {
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }
}

/// How much a client prefers a form, from 0 to 1: what it says about the form, or about all others.
fn weight(accepted: &str, form: Encoding) -> f32 {
    let name = form.name().unwrap_or("identity");
    let of = |name: &str| accepted.split(',').find_map(|part| weight_in(part, name));
    let unsaid = match form {
        // Less than every form that is asked for, but more than an excluded one.
        Encoding::Identity => f32::MIN_POSITIVE,
        Encoding::Brotli | Encoding::Gzip => 0.0,
    };
    of(name).or_else(|| of("*")).unwrap_or(unsaid)
}

fn weight_in(part: &str, name: &str) -> Option<f32> {
    let mut pieces = part.split(';').map(str::trim);
    let coding = pieces.next()?;
    let is_alias = name == "gzip" && coding.eq_ignore_ascii_case("x-gzip");
    if !coding.eq_ignore_ascii_case(name) && !is_alias {
        return None;
    }
    let quality = pieces.find_map(|piece| piece.strip_prefix("q=").or(piece.strip_prefix("Q=")));
    Some(quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_client_chooses_among_the_forms_that_there_are() {
        use Encoding::{Brotli, Gzip, Identity};
        let cases = [
            ("gzip, deflate, br, zstd", Brotli),
            ("gzip, deflate", Gzip),
            ("x-gzip", Gzip),
            ("BR", Brotli),
            ("br;q=0.5, gzip;q=0.8", Gzip),
            ("br;q=0, gzip;q=0.1", Gzip),
            ("br; q=0.3 , gzip ; q=0.2", Brotli),
            ("*", Brotli),
            ("*;q=0.5, br;q=0", Gzip),
            ("identity", Identity),
            ("identity;q=1, gzip;q=0.5", Identity),
            ("gzip;q=0", Identity),
            ("identity;q=0, *;q=0", Identity),
            ("deflate, zstd", Identity),
            ("gzipp", Identity),
            ("gzip;q=x", Identity),
            ("", Identity),
        ];
        for (accepted, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(Encoding::choose(&headers, |_| true), expected, "{accepted}");
            let only_itself = Encoding::choose(&headers, |form| form == Identity);
            assert_eq!(only_itself, Identity, "{accepted}");
        }
        assert_eq!(Encoding::choose(&HeaderMap::new(), |_| true), Identity);
    }
}
