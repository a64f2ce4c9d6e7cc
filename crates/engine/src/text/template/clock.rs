//! `strftime_now`: gives templates the date and time in this machine's time zone.
//!
//! The zone is that of `TZ`, else that of `/etc/localtime`, else UTC. A format gives the same text
//! as Python's `datetime.now().strftime` on Linux, in English. Python's value has no zone, so `%z`
//! and `%Z` write nothing. A directive without a meaning is copied unchanged.

use jiff::ZonedDateTime;
use jiff::fmt::strtime;
use minijinja::{Error, ErrorKind};

/// Longest format in bytes; known templates use about ten.
const FORMAT_BYTES: usize = 1000;
/// Letters that mean the same to Python and to `jiff`.
const SHARED: &str = "aAbBCdDeFgGhHIjklmMnpPRsStTuUVwWyY%";
/// Flags between `%` and a letter: how numbers are padded, and whether letters are upper case.
const FLAGS: [char; 5] = ['-', '_', '0', '^', '#'];

/// The present date and time in a format of C's `strftime`.
///
/// Errors: the format is too long, or `jiff` cannot write it.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    written(format, &ZonedDateTime::now())
}

fn written(format: &str, now: &ZonedDateTime) -> Result<String, Error> {
    let wrong = |what| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {what}"));
    if format.len() > FORMAT_BYTES {
        let found = format.len();
        return Err(wrong(format!("expected at most {FORMAT_BYTES} bytes, found {found}")));
    }
    strtime::format(translated(format), now).map_err(|error| wrong(error.to_string()))
}

/// A format for Python, translated for `jiff`.
fn translated(format: &str) -> String {
    let mut translated = String::new();
    let mut rest = format;
    while let Some((before, directive)) = rest.split_once('%') {
        translated.push_str(before);
        let letters = directive.trim_start_matches(FLAGS);
        let flags = &directive[..directive.len() - letters.len()];
        // `%Ey` and `%Od` are `%y` and `%d` in English.
        let plain = letters.strip_prefix(['E', 'O']).filter(|after| !after.is_empty());
        let letters = plain.unwrap_or(letters);
        let mut after = letters.chars();
        match after.next() {
            Some(letter) if SHARED.contains(letter) => {
                translated.push('%');
                // If there are several flags, the last one counts.
                translated.extend(flags.chars().next_back());
                translated.push(letter);
            }
            Some('c') => translated.push_str("%a %b %e %H:%M:%S %Y"),
            Some('x') => translated.push_str("%m/%d/%y"),
            Some('X') => translated.push_str("%H:%M:%S"),
            Some('r') => translated.push_str("%I:%M:%S %p"),
            Some('f') => translated.push_str("%6f"),
            Some('z' | 'Z') => {}
            _ => {
                translated.push_str("%%");
                rest = directive;
                continue;
            }
        }
        rest = after.as_str();
    }
    translated + rest
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    fn at(second: i64, zone: &str) -> ZonedDateTime {
        let zone = TimeZone::posix(zone).expect("a zone");
        Timestamp::from_second(second).expect("a second").to_zoned_datetime(zone)
    }

    fn written_in_utc(format: &str) -> String {
        // Thursday, 29 February 2024, 23:59:59.
        written(format, &at(1_709_251_199, "UTC0")).expect("it is written")
    }

    #[test]
    fn formats_mean_what_they_mean_to_python() {
        let cases = [
            ("%Y-%m-%d", "2024-02-29"),
            ("%d %b %Y", "29 Feb 2024"),
            ("%-d %B %Y, %A", "29 February 2024, Thursday"),
            ("%H:%M:%S %I %p %y %j %a", "23:59:59 11 PM 24 060 Thu"),
            (
                "%c|%x|%X|%D|%T|%R|%r",
                "Thu Feb 29 23:59:59 2024|02/29/24|23:59:59|02/29/24|23:59:59|23:59|11:59:59 PM",
            ),
            (
                "%F %e %k %l %h %C %u %w %U %W %V %G %g",
                "2024-02-29 29 23 11 Feb 20 4 4 08 09 09 2024 24",
            ),
            ("%s %n%t%%", "1709251199 \n\t%"),
            ("%f", "000000"),
            ("[%z%Z]", "[]"),
            ("%Ey %Od %EY", "24 29 2024"),
            ("%-m %-H %_m %^a", "2 23  2 THU"),
            ("", ""),
            ("no letters 你好", "no letters 你好"),
        ];
        for (format, expected) in cases {
            assert_eq!(written_in_utc(format), expected, "{format}");
        }
    }

    #[test]
    fn what_means_nothing_is_written_as_it_stands() {
        for format in
            ["%", "100%", "%Q", "%é", "%-", "%-Q %", "%E", "%5d", "%:z", "%!", "%i%J%K%L%N%o%q%v"]
        {
            assert_eq!(written_in_utc(format), format, "{format}");
        }
        let error = written(&"%c".repeat(501), &at(0, "UTC0")).expect_err("it is too long");
        assert!(error.to_string().contains("at most 1000 bytes"), "{error}");
    }

    #[test]
    fn the_hour_is_that_of_the_time_zone() {
        let hour = |zone: &str| written("%d %H:%M", &at(1_709_251_199, zone)).expect("an hour");
        assert_eq!(hour("UTC0"), "29 23:59");
        assert_eq!(hour("CST-8"), "01 07:59");
        assert_eq!(hour("EST5"), "29 18:59");
        assert_eq!(hour("IST-5:30"), "01 05:29");
    }

    /// The zone is read from the environment of a process, so another process is asked.
    #[test]
    fn the_zone_is_that_of_the_machine() {
        const IS_ASKED: &str = "BANTER_TEST_CLOCK";
        const FORMAT: &str = "%Y-%m-%d %H";
        if std::env::var_os(IS_ASKED).is_some() {
            return println!("now: {}", strftime_now(FORMAT).expect("a time"));
        }
        let there = || {
            let zone = TimeZone::posix("THERE-13").expect("a zone");
            let now = Timestamp::now().to_zoned_datetime(zone);
            format!("now: {}", written(FORMAT, &now).expect("a time"))
        };
        let name = std::thread::current().name().expect("a test has a name").to_owned();
        let program = std::env::current_exe().expect("this program");
        let mut command = std::process::Command::new(program);
        command.args(["--exact", &name, "--nocapture"]).env(IS_ASKED, "1").env("TZ", "THERE-13");
        let before = there();
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        // An hour may have ended in between.
        assert!(said.contains(&before) || said.contains(&there()), "{said}");
    }
}
