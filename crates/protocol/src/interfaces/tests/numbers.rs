//! Which numbers each field takes.

/// The numbers that one field takes.
pub(super) struct Number {
    pub(super) field: &'static str,
    /// Those of [`super::VALUES`] that it takes. It refuses all others.
    pub(super) of_values: &'static [&'static str],
    /// Further values that it takes.
    pub(super) inside: &'static [&'static str],
    /// Further values that it refuses.
    pub(super) outside: &'static [&'static str],
}

pub(super) fn of_chat() -> Vec<Number> {
    let mut numbers = sampling();
    numbers.extend([
        max_tokens_or_all(),
        of_any_sign("seed"),
        max_tokens("max_completion_tokens"),
        count(),
        top_logprobs("top_logprobs"),
        bias(),
        stop("stop"),
    ]);
    numbers
}

pub(super) fn of_completions() -> Vec<Number> {
    let mut numbers = sampling();
    numbers.extend([
        max_tokens_or_all(),
        of_any_sign("seed"),
        count(),
        // As many as `n`.
        Number {
            field: "best_of",
            of_values: &["null"],
            inside: &["1", "1.0"],
            outside: &["2", "17"],
        },
        top_logprobs("logprobs"),
        bias(),
        stop("stop"),
    ]);
    numbers
}

pub(super) fn of_responses() -> Vec<Number> {
    let mut numbers = sampling();
    numbers.extend([
        max_tokens("max_output_tokens"),
        of_any_sign("seed"),
        top_logprobs("top_logprobs"),
        stop("stop"),
    ]);
    numbers
}

pub(super) fn of_embeddings() -> Vec<Number> {
    let (inside, outside) = (&["1", "65536", "2.0"], &["65537", "0.5"]);
    vec![Number { field: "dimensions", of_values: &["null"], inside, outside }]
}

pub(super) fn of_ollama() -> Vec<Number> {
    let mut numbers = of_ollama_options();
    numbers.push(top_logprobs("top_logprobs"));
    numbers
}

pub(super) fn of_ollama_embed() -> Vec<Number> {
    let mut numbers = of_ollama_options();
    let (inside, outside) = (&["1", "65536", "2.0"], &["65537", "0.5"]);
    let of_values = &["0", "null"];
    numbers.push(Number { field: "dimensions", of_values, inside, outside });
    numbers
}

pub(super) fn of_ollama_options() -> Vec<Number> {
    vec![
        unless_negative("options.num_predict"),
        unless_negative("options.top_k"),
        unless_negative("options.seed"),
        temperature("options.temperature"),
        top_p("options.top_p"),
        min_p("options.min_p"),
        repetition_penalty("options.repeat_penalty"),
        penalty("options.presence_penalty"),
        penalty("options.frequency_penalty"),
        stop("options.stop"),
        Number {
            field: "options.mirostat",
            of_values: &["0", "null"],
            inside: &["0.0"],
            outside: &["1", "2"],
        },
        Number {
            field: "options.repeat_last_n",
            of_values: &["-1", "null"],
            inside: &["-1.0"],
            outside: &["64"],
        },
        one("options.tfs_z"),
        one("options.typical_p"),
    ]
}

pub(super) fn of_messages() -> Vec<Number> {
    let mut numbers = sampling();
    numbers.extend([
        // It has to be there.
        Number { of_values: &[], ..max_tokens("max_tokens") },
        Number {
            field: "seed",
            of_values: &["0", "2147483648", "null"],
            inside: &["18446744073709551615", "7.0"],
            outside: &["0.5", "1e19", "9007199254740992.0"],
        },
        stop("stop_sequences"),
    ]);
    numbers
}

/// Those that nearly every interface has by the same names.
fn sampling() -> Vec<Number> {
    vec![
        temperature("temperature"),
        top_p("top_p"),
        top_k(),
        min_p("min_p"),
        repetition_penalty("repetition_penalty"),
        penalty("presence_penalty"),
        penalty("frequency_penalty"),
    ]
}

fn max_tokens(field: &'static str) -> Number {
    let outside = &["1000001", "1.5", "-2", "-5.0"];
    Number { field, of_values: &["null"], inside: &["1", "1000000", "5.0", "1e6"], outside }
}

/// −1 is for as many as there is room for.
fn max_tokens_or_all() -> Number {
    let outside = &["1000001", "1.5", "-2", "-1.0"];
    Number { of_values: &["-1", "null"], outside, ..max_tokens("max_tokens") }
}

/// A seed whose sign does not matter.
fn of_any_sign(field: &'static str) -> Number {
    Number {
        field,
        of_values: &["-1", "0", "2147483648", "null"],
        inside: &["18446744073709551615", "-9223372036854775808", "7.0"],
        outside: &["0.5", "-0.5", "-1.0", "-9223372036854775809", "1e19"],
    }
}

/// A negative number is as none.
fn unless_negative(field: &'static str) -> Number {
    Number {
        field,
        of_values: &["-1", "0", "2147483648", "-1e308", "null"],
        inside: &["1", "5.0", "-2", "18446744073709551615"],
        outside: &["0.5", "-1.5", "9e15"],
    }
}

fn temperature(field: &'static str) -> Number {
    let (inside, outside) = (&["2", "0.0", "1e-300"], &["2.1", "-0.1", "3"]);
    Number { field, of_values: &["0", "null"], inside, outside }
}

fn top_p(field: &'static str) -> Number {
    let (inside, outside) = (&["1", "0.01", "1e-30"], &["0.0", "1e-300", "1.01", "-0.5"]);
    Number { field, of_values: &["null"], inside, outside }
}

fn top_k() -> Number {
    let (inside, outside) = (&["1", "40.0", "1000000"], &["0.5", "1000001", "-2"]);
    Number { field: "top_k", of_values: &["0", "null"], inside, outside }
}

fn min_p(field: &'static str) -> Number {
    Number { field, of_values: &["0", "null"], inside: &["1", "0.5"], outside: &["1.5", "-0.5"] }
}

fn repetition_penalty(field: &'static str) -> Number {
    Number { field, of_values: &["null"], inside: &["0.5", "2"], outside: &["0.4", "2.5"] }
}

fn penalty(field: &'static str) -> Number {
    let (inside, outside) = (&["-2", "2", "-2.0"], &["-2.5", "3", "2.01"]);
    Number { field, of_values: &["-1", "0", "null"], inside, outside }
}

fn count() -> Number {
    let (inside, outside) = (&["1", "16", "3.0"], &["17", "1000000", "1.5"]);
    Number { field: "n", of_values: &["null"], inside, outside }
}

fn top_logprobs(field: &'static str) -> Number {
    let (inside, outside) = (&["1", "20", "3.0"], &["21", "151936", "0.5"]);
    Number { field, of_values: &["0", "null"], inside, outside }
}

fn bias() -> Number {
    let (inside, outside) = (&["100", "-100", "0.5"], &["100.5", "-101", "1e3"]);
    Number { field: "logit_bias.5", of_values: &["-1", "0"], inside, outside }
}

const SEVENTEEN: &str = r#"["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"]"#;

/// No number at all, but strings.
pub(super) fn stop(field: &'static str) -> Number {
    let outside = &["5", "\"\"", SEVENTEEN];
    Number {
        field,
        of_values: &["\"NaN\"", "\"x\"", "[]", "null"],
        inside: &["[\"a\",\"b\"]"],
        outside,
    }
}

fn one(field: &'static str) -> Number {
    Number { field, of_values: &["null"], inside: &["1", "1.0"], outside: &["0.5", "2"] }
}
