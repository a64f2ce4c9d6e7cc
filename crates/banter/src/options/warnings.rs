//! Warnings about the environment and the configuration file. The program goes on after them.

use std::collections::BTreeMap;
use std::path::Path;

use banter_remote::hub::nearest_of;

use super::{Options, SECRETS, rows, variable};
use crate::text_file::is_readable_by_everybody;
use crate::visible::visible_line;

/// How every variable of ours begins.
const PREFIX: &str = "BANTER_";
/// The variables that are no options: the configuration file, and the hubs to ask.
const OTHERS: [&str; 2] = ["BANTER_CONFIG", "BANTER_HUB"];

/// A line for each variable that begins like ours and means nothing.
///
/// It is no error, because other tools may have variables with this beginning.
pub fn of_environment(environment: &BTreeMap<String, String>) -> Vec<String> {
    let known: Vec<String> =
        rows().map(|row| variable(row.name)).chain(OTHERS.map(str::to_owned)).collect();
    let unknown = environment.keys().filter(|name| name.starts_with(PREFIX));
    let unknown = unknown.filter(|name| !known.contains(name));
    let told = unknown.map(|name| {
        // Without the beginning, which would make all names alike.
        let rest = |name: &String| name[PREFIX.len()..].to_ascii_lowercase();
        let meant = nearest_of(&rest(name), known.iter().map(rest));
        let advice = match meant {
            Some(meant) => format!("did you mean {PREFIX}{}?", meant.to_ascii_uppercase()),
            None => "`banter serve --help` lists the options".to_owned(),
        };
        let shown = visible_line(name);
        format!("{shown} (environment): no option has this name, so it is ignored; {advice}")
    });
    told.collect()
}

/// A line for a configuration file with a secret that everybody can read.
pub fn of_file(path: &Path, options: &Options) -> Option<String> {
    let secret = SECRETS.into_iter().find(|name| options.get(name).is_some())?;
    is_readable_by_everybody(path).then(|| {
        let shown = path.display();
        format!(
            "{shown}: everybody on this machine can read this file, and it has a {secret}; \
             `chmod 600 {shown}` keeps it to yourself"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Vec<String> {
        of_environment(&BTreeMap::from([(name.to_owned(), "value".to_owned())]))
    }

    #[test]
    fn k1_a_variable_that_means_nothing_is_told_with_the_nearest_name() {
        let cases = [
            ("BANTER_PROT", "did you mean BANTER_PORT?"),
            ("BANTER_MODELDIR", "did you mean BANTER_MODELS_DIR?"),
            ("BANTER_ADMINKEY", "did you mean BANTER_ADMIN_KEY?"),
            ("BANTER_CONFG", "did you mean BANTER_CONFIG?"),
            ("BANTER_", "`banter serve --help` lists the options"),
            ("BANTER_QQQQQQQQQQ", "`banter serve --help` lists the options"),
            ("BANTER_\u{1b}[31m", "BANTER_␛[31m (environment)"),
        ];
        for (name, expected) in cases {
            let told = told(name);
            assert!(told.len() == 1 && told[0].contains(expected), "{name}: {told:?}");
            assert!(!told[0].contains("value"), "a value may be a secret: {told:?}");
        }
        let of_options = rows().map(|row| variable(row.name));
        for name in of_options.chain(OTHERS.map(str::to_owned)).chain(["BANTERS".to_owned()]) {
            assert_eq!(told(&name), Vec::<String>::new());
        }
    }
}
