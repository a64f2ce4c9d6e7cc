//! How this program was started, so that advice can be pasted as it stands.

use std::path::PathBuf;

/// The command that starts the server again: through cargo when cargo started this process.
pub fn serve_command() -> String {
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        return "cargo run --release -- serve".to_string();
    }
    let program = std::env::args_os().next().map(PathBuf::from);
    let program = program.map_or_else(|| "banter".to_string(), |path| path.display().to_string());
    format!("{program} serve")
}
