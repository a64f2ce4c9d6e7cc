//! How deep a template nests, found out before a compiler that recurses sees it.

/// Longest template; Qwen2.5's has 2,507 bytes, the longest known some 20,000.
const SOURCE_BYTES: usize = 128 * 1024;
/// Deepest nesting of blocks (an `elif` counts as one more) and of brackets; real ones stay under
/// ten.
const NESTING: usize = 64;
/// Longest tag, strings and white space aside; real ones stay under 300 characters.
const TAG_BYTES: usize = 2048;

const OPENING: [&str; 8] = ["if", "for", "macro", "filter", "call", "with", "autoescape", "block"];

/// Checks that a template is no longer and no deeper than any real one.
///
/// Errors: says what is too long or too deep.
pub(super) fn check(source: &str) -> Result<(), String> {
    if source.len() > SOURCE_BYTES {
        return Err(format!("expected at most {SOURCE_BYTES} bytes, found {}", source.len()));
    }
    let mut blocks = Blocks::default();
    let mut rest = source;
    while let Some(start) = rest.find('{') {
        let tag = &rest[start..];
        rest = if let Some(comment) = tag.strip_prefix("{#") {
            comment.split_once("#}").map_or("", |(_, after)| after)
        } else if let Some(inside) = tag.strip_prefix("{%") {
            blocks.enter(inside)?;
            after_tag(inside)?
        } else if let Some(inside) = tag.strip_prefix("{{") {
            after_tag(inside)?
        } else {
            &tag[1..]
        };
    }
    Ok(())
}

/// The template with `{% generation %}` and its end, by which `transformers` marks answers for
/// training, as tags that do nothing.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        kept.push_str(before);
        kept.push_str("{%");
        let inside = tag.trim_start_matches(['-', '+']).trim_start();
        let lead = tag.len() - inside.len();
        kept.push_str(&tag[..lead]);
        let ends_word = |after: &str| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = match (inside.strip_prefix("generation"), inside.strip_prefix("endgeneration")) {
            (Some(after), _) if ends_word(after) => {
                kept.push_str("if true");
                after
            }
            (_, Some(after)) if ends_word(after) => {
                kept.push_str("endif");
                after
            }
            _ => inside,
        };
    }
    kept + rest
}

/// The blocks that are open, each with how deep its chain of `elif` goes.
#[derive(Default)]
struct Blocks {
    open: Vec<usize>,
}

impl Blocks {
    fn enter(&mut self, tag: &str) -> Result<(), String> {
        let tag = tag.trim_start_matches(['-', '+']).trim_start();
        let word = tag.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
        if OPENING.contains(&word) {
            self.open.push(1);
        } else if word.starts_with("end") {
            self.open.pop();
        } else if word == "elif"
            && let Some(chain) = self.open.last_mut()
        {
            *chain += 1;
        }
        let depth: usize = self.open.iter().sum();
        if depth > NESTING {
            return Err(format!("expected at most {NESTING} nested blocks, found more"));
        }
        Ok(())
    }
}

/// What follows the tag that `inside` starts in.
fn after_tag(inside: &str) -> Result<&str, String> {
    let mut quote = None;
    let mut escaped = false;
    let (mut brackets, mut length) = (0_usize, 0);
    for (index, character) in inside.char_indices() {
        if let Some(end) = quote {
            if !escaped && character == end {
                quote = None;
            }
            escaped = character == '\\' && !escaped;
            continue;
        }
        let ends = inside[index..].starts_with("%}") || inside[index..].starts_with("}}");
        match character {
            '\'' | '"' => quote = Some(character),
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            // Inside brackets `}}` closes maps.
            '%' | '}' if ends && brackets == 0 => return Ok(&inside[index + 2..]),
            '}' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        length += usize::from(!character.is_whitespace());
        if brackets > NESTING {
            return Err(format!("expected at most {NESTING} nested brackets, found more"));
        }
        if length > TAG_BYTES {
            return Err(format!("expected tags of at most {TAG_BYTES} characters, found more"));
        }
    }
    Ok("")
}
