//! The chat template of a model file: Jinja, and treated as somebody else's program.
//!
//! It gets fuel, a depth and an output limit, and nothing of the machine but the date.

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context};

use super::{Role, TextError};

/// What a model without a template speaks.
const CHATML: &str = "{% for message in messages %}\
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Longest template; Qwen2.5's has 2,507 bytes, the longest known some 20,000.
const SOURCE_BYTES: usize = 128 * 1024;
/// Deepest nesting of brackets and of blocks; real ones stay under ten.
const NESTING: usize = 64;
/// Instructions: so many for any template, and so many more for each message.
const FUEL: u64 = 50_000;
const FUEL_PER_MESSAGE: u64 = 2_000;
/// Calls within calls.
const RECURSION: usize = 32;
/// What a template may add to what people wrote.
const OUTPUT_BEYOND_CONTENT: usize = 1 << 20;

/// One message as a template sees it; content is guarded already.
#[derive(Debug)]
pub(super) struct TemplateMessage {
    pub(super) role: Role,
    pub(super) content: String,
}

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    bos: String,
}

const NAME: &str = "chat";

impl Template {
    /// Compiles `source`, or ChatML without one. `bos` is what the template knows as `bos_token`.
    ///
    /// Errors: too long, too deeply nested, or not Jinja.
    pub(super) fn new(source: Option<&str>, bos: &str) -> Result<Template, TextError> {
        let source = source.unwrap_or(CHATML);
        check_size(source)?;
        let mut environment = Environment::new();
        // White space as `transformers` sets it.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(wrong)?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_recursion_limit(RECURSION);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned(NAME.to_owned(), source.to_owned())
            .map_err(|error| TextError::Template(error.to_string()))?;
        Ok(Template { environment, bos: bos.to_owned() })
    }

    /// Writes the prompt for a conversation, ending where the model's answer begins.
    pub(super) fn render(&self, messages: &[TemplateMessage]) -> Result<String, TextError> {
        let content: usize = messages.iter().map(|message| message.content.len()).sum();
        let listed: Vec<Value> = messages
            .iter()
            .map(|message| {
                let role = message.role.name();
                context! { role => role, content => message.content.as_str() }
            })
            .collect();
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_PER_MESSAGE * messages.len() as u64));
        let template = environment.get_template(NAME).map_err(wrong)?;
        let mut output =
            LimitedOutput { bytes: Vec::new(), limit: content + OUTPUT_BEYOND_CONTENT };
        let values = context! {
            messages => listed,
            add_generation_prompt => true,
            bos_token => self.bos.as_str(),
        };
        template.render_captured_to(values, &mut output).map_err(wrong)?;
        String::from_utf8(output.bytes)
            .map_err(|_| TextError::Template("expected text, found bytes".to_owned()))
    }
}

fn wrong(error: Error) -> TextError {
    TextError::Template(error.to_string())
}

/// The compiler recurses, so depth is bounded before it sees the source.
fn check_size(source: &str) -> Result<(), TextError> {
    if source.len() > SOURCE_BYTES {
        let found = source.len();
        let what = format!("expected at most {SOURCE_BYTES} bytes, found {found}");
        return Err(TextError::Template(what));
    }
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        deepest = deepest.max(depth);
    }
    let blocks = ["if ", "for ", "macro ", "filter ", "call ", "set "];
    let words = blocks.iter().map(|word| source.matches(&format!("% {word}")).count());
    let open = words.max().unwrap_or(0);
    if deepest > NESTING || open > NESTING * 16 {
        return Err(TextError::Template(format!("expected at most {NESTING} levels of nesting")));
    }
    Ok(())
}

/// Collects output up to a limit.
struct LimitedOutput {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for LimitedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::Error::other(format!(
                "expected at most {} bytes of output",
                self.limit
            )));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
