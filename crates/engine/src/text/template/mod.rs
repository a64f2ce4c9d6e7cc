//! Runs the chat template of a model file. It is a Jinja program of a stranger, so it is not
//! trusted.
//!
//! It has limits for work (fuel), depth and output, and sees nothing of the machine except the date
//! and time.

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, UndefinedBehavior, context};

use super::message::TemplateExtras;
use super::{Role, TextError};
use crate::printable::printable_within;

mod clock;
mod functions;
mod limits;
mod rules;
mod shape;

use functions::Raised;
use limits::Given;

/// The template of a model that has none: ChatML.
pub(crate) const CHATML: &str = "{% for message in messages %}\
{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Most work of a template, in instructions; making 64 bytes of text counts as one. Each message
/// adds to it, and so does content: enough to copy it sixteen times (Qwen2.5's template copies it
/// four times).
const FUEL: u64 = 50_000;
const FUEL_PER_MESSAGE: u64 = 2_000;
const CONTENT_BYTES_PER_FUEL: u64 = 4;
/// Every value and every 16 bytes of text cost one where a tool is written as JSON.
const FUEL_PER_JSON_BYTE: u64 = 2;
/// Deepest calls within calls.
const RECURSION: usize = 32;
/// Bytes that a template may write in addition to the content.
const OUTPUT_BEYOND_CONTENT: usize = 1 << 20;

/// One message as a template gets it; its content is already guarded.
#[derive(Debug)]
pub(super) struct TemplateMessage {
    pub(super) role: Role,
    pub(super) content: String,
    /// Calls of functions, as OpenAI's interface writes them.
    pub(super) tool_calls: Vec<serde_json::Value>,
}

/// Names that a template has values for; options must have others.
const OWN_NAMES: [&str; 6] =
    ["messages", "add_generation_prompt", "bos_token", "eos_token", "tools", "documents"];

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    ends: TextEnds,
    knows_tools: bool,
}

/// The values of `bos_token` and `eos_token` in a template; empty if the model has none.
#[derive(Debug, Default)]
pub(super) struct TextEnds {
    pub(super) bos: String,
    pub(super) eos: String,
}

const NAME: &str = "chat";
/// Longest error that a template can cause, in characters.
const ERROR_CHARS: usize = 300;

impl Template {
    /// Compiles `source`, or ChatML if it is `None`, for a model whose texts begin and end with
    /// `ends`.
    ///
    /// Errors: `source` is too long or too deeply nested, is not Jinja, or uses a construct that
    /// could exhaust the machine.
    pub(super) fn new(source: Option<&str>, ends: TextEnds) -> Result<Template, TextError> {
        let source = shape::without_generation_tags(source.unwrap_or(CHATML));
        // A template that says nothing of tools cannot use them.
        let knows_tools = source.contains("tools");
        let environment = on_a_stack_of_its_own(|| compile(source))?;
        Ok(Template { environment, ends, knows_tools })
    }

    /// Whether it tells the model of the functions that it may call.
    pub(super) fn knows_tools(&self) -> bool {
        self.knows_tools
    }

    /// Writes the prompt for a conversation, up to where the model's answer begins. Every text in
    /// `extras` is already guarded.
    ///
    /// Errors: the template refuses the conversation, fails, or reaches a limit.
    pub(super) fn render(
        &self,
        messages: &[TemplateMessage],
        extras: &TemplateExtras,
    ) -> Result<String, TextError> {
        on_a_stack_of_its_own(|| self.render_here(messages, extras))
    }

    fn render_here(
        &self,
        messages: &[TemplateMessage],
        extras: &TemplateExtras,
    ) -> Result<String, TextError> {
        if let Some(name) = OWN_NAMES.into_iter().find(|name| extras.options.contains_key(*name)) {
            return Err(TextError::Refused(format!(
                "an option of the chat template must not be named {name}"
            )));
        }
        let written = |message: &TemplateMessage| {
            let calls: usize = message.tool_calls.iter().map(|call| call.to_string().len()).sum();
            message.content.len() + calls
        };
        let json = extras.bytes();
        let content: usize = messages.iter().map(written).sum();
        let listed: Vec<Value> = messages.iter().map(listed).collect();
        let mut environment = self.environment.clone();
        let mut given = Given { entries: messages.len() + extras.tools.len(), ..Given::default() };
        let calls = messages.iter().flat_map(|message| &message.tool_calls);
        calls.chain(&extras.tools).chain(extras.options.values()).for_each(|it| given.add(it));
        let fuel_of_messages = FUEL_PER_MESSAGE * given.entries as u64;
        let fuel_of_content = content as u64 / CONTENT_BYTES_PER_FUEL;
        let fuel = FUEL + fuel_of_messages + fuel_of_content + FUEL_PER_JSON_BYTE * json as u64;
        environment.set_fuel(Some(fuel));
        limits::install(&mut environment, given);
        let template = environment.get_template(NAME).map_err(wrong)?;
        let mut output =
            LimitedOutput { bytes: Vec::new(), limit: content + json + OUTPUT_BEYOND_CONTENT };
        let tools = match extras.tools.as_slice() {
            // `transformers` passes them as `None`. Some templates ask whether they are
            // defined, others whether they are none; both must work.
            [] => Value::from(()),
            tools => Value::from(Serde(tools)),
        };
        let values = context! {
            ..Value::from(Serde(&extras.options)),
            ..context! {
            messages => listed,
            add_generation_prompt => true,
            bos_token => self.ends.bos.as_str(),
            eos_token => self.ends.eos.as_str(),
            tools => tools,
            documents => (),
            }
        };
        template.render_captured_to(values, &mut output).map_err(not_rendered)?;
        String::from_utf8(output.bytes)
            .map_err(|_| TextError::Template("expected text, found bytes".to_owned()))
    }
}

/// A message as a template sees it.
fn listed(message: &TemplateMessage) -> Value {
    let (role, content) = (message.role.name(), message.content.as_str());
    match message.tool_calls.as_slice() {
        [] => context! { role => role, content => content },
        calls => {
            let tool_calls = Value::from(Serde(calls));
            context! { role => role, content => content, tool_calls => tool_calls }
        }
    }
}

/// Parses a template, adds the checks of [`limits`] to it, and compiles it.
fn compile(source: String) -> Result<Environment<'static>, TextError> {
    // The settings of `transformers` for white space.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let syntax = syntax.map_err(wrong)?;
    shape::check(&source, &syntax).map_err(refused)?;
    let places = unchecked_places(&source, &syntax)?;
    let source = limits::with_checks(&source, places).map_err(refused)?;
    shape::check(&source, &syntax).map_err(refused)?;
    // Parsed again, every place must now have its check; otherwise the template is refused.
    if !unchecked_places(&source, &syntax)?.is_empty() {
        return Err(refused("a list or map: expected brackets around it".to_owned()));
    }
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_recursion_limit(RECURSION);
    functions::install(&mut environment);
    environment.add_template_owned(NAME.to_owned(), source).map_err(wrong)?;
    Ok(environment)
}

fn unchecked_places(source: &str, syntax: &SyntaxConfig) -> Result<Vec<rules::Place>, TextError> {
    let parsed = minijinja::machinery::parse(source, NAME, syntax.clone()).map_err(wrong)?;
    rules::unchecked_places(&parsed).map_err(refused)
}

/// The error of a template that did not finish: [`TextError::Refused`] if it refuses the
/// conversation, else [`TextError::Template`].
fn not_rendered(error: Error) -> TextError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(Raised(words)) = error.downcast_ref() {
            return TextError::Refused(printable_within(words, ERROR_CHARS));
        }
        cause = error.source();
    }
    wrong(error)
}

fn wrong(error: Error) -> TextError {
    refused(error.to_string())
}

/// An error whose text may come from the template, so it is cut to a safe length.
fn refused(what: String) -> TextError {
    TextError::Template(printable_within(&what, ERROR_CHARS))
}

/// Runs `work` on a thread with a large stack. It has room for the deepest template that [`shape`]
/// allows and for the deepest value that a template can build with its fuel.
fn on_a_stack_of_its_own<T: Send>(
    work: impl FnOnce() -> Result<T, TextError> + Send,
) -> Result<T, TextError> {
    const STACK_BYTES: usize = 32 << 20;
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, work).map_err(|error| {
            TextError::Template(format!("expected a thread to render it on, found none: {error}"))
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Collects output up to a limit, in bytes.
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
