//! Turns a conversation into the tokens that the model reads, and drops old turns that do not fit.

use std::sync::Arc;

use serde_json::json;

use super::decoder::TextDecoder;
use super::remembered::RememberedAnswers;
use super::scaffold::{Part, Scaffold};
use super::template::{Template, TemplateMessage, TextEnds};
use super::tokenizer::Tokenizer;
use super::{Message, Role, TemplateExtras, TextError, TokenId, ToolCall, Vocabulary};
use crate::origin::Origin;
use crate::tool_calls::as_text;

/// The prompt of a conversation, cut to the room that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The tokens that the model reads.
    pub ids: Vec<TokenId>,
    /// How many messages were left out. The oldest go first; system messages at the start always
    /// stay.
    pub dropped_messages: usize,
}

/// A conversation that becomes a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Conversation<'a> {
    /// The oldest message first.
    pub messages: &'a [Message],
    /// Tools and options for the chat template.
    pub extras: &'a TemplateExtras,
    /// Whose remembered answers are used, if any are.
    pub origin: Option<Origin>,
}

/// Tokens are hardly ever longer than this, in bytes. A history with more bytes per token of room
/// must be cut anyway, so rendering it whole first would be wasted work.
const LIKELY_TOKEN_BYTES: usize = 8;

/// Everything that turns text into tokens and back, for one model.
#[derive(Debug)]
pub struct Text {
    tokenizer: Tokenizer,
    scaffold: Scaffold,
    template: Template,
    remembered: RememberedAnswers,
    bos: Option<TokenId>,
    end_tokens: Vec<TokenId>,
    has_token: Vec<bool>,
}

impl Text {
    /// Prepares text conversion for a model. Without a template, prompts are in ChatML.
    ///
    /// Errors: [`TextError::Vocabulary`] or [`TextError::Template`] if one of the two is wrong.
    pub fn new(vocabulary: &Vocabulary, template: Option<&str>) -> Result<Text, TextError> {
        let spelling = |id: Option<&TokenId>| {
            let token = id.and_then(|id| vocabulary.tokens.get(id.0 as usize));
            token.map(|token| token.text.clone()).unwrap_or_default()
        };
        let ends = TextEnds {
            bos: spelling(vocabulary.bos.as_ref()),
            eos: spelling(vocabulary.end_tokens.first()),
        };
        Ok(Text {
            tokenizer: Tokenizer::new(vocabulary)?,
            template: Template::new(template, ends)?,
            scaffold: Scaffold::new(vocabulary, template.unwrap_or_default())?,
            remembered: RememberedAnswers::default(),
            bos: vocabulary.bos.filter(|_| vocabulary.add_bos),
            end_tokens: vocabulary.end_tokens.clone(),
            has_token: vocabulary.tokens.iter().map(|token| token.kind.is_sampled()).collect(),
        })
    }

    /// The tokens of content. They are never control tokens, even if `text` contains their
    /// literals.
    pub fn encode(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        self.tokenizer.encode_into(text, &mut ids);
        ids
    }

    /// The tokens of a prompt that the caller has written whole: every literal of an added token in
    /// it becomes that token.
    pub fn encode_raw(&self, text: &str) -> Vec<TokenId> {
        self.tokens_of(self.scaffold.split_raw(text), &[])
    }

    /// The tokens of a conversation, up to where the model's answer begins. They depend on the
    /// messages alone; remembered answers are not used.
    ///
    /// Errors: [`TextError::Template`] or [`TextError::Refused`] if the template cannot render it.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<TokenId>, TextError> {
        self.render(messages.iter(), &TemplateExtras::default(), None)
    }

    /// Like [`Text::prompt`], but with remembered answers: an answer that comes back unchanged
    /// keeps the tokens that the model chose for it.
    ///
    /// Errors: as [`Text::prompt`].
    pub fn prompt_for(
        &self,
        origin: Origin,
        messages: &[Message],
    ) -> Result<Vec<TokenId>, TextError> {
        self.render(messages.iter(), &TemplateExtras::default(), Some(origin))
    }

    /// The prompt for the newest part of a conversation that leaves `reserve_tokens` of
    /// `context_tokens` free. Whole turns are dropped, the oldest first; system messages at the
    /// start stay.
    ///
    /// More turns are dropped than necessary, up to a place that stays the same for a while. The
    /// next requests of the conversation then drop the same turns and begin with the same tokens,
    /// so they find the keys and values that were computed for this one.
    ///
    /// Errors: [`TextError::TooLong`] if the newest turn alone does not fit; else as
    /// [`Text::prompt`].
    pub fn fit(
        &self,
        messages: &[Message],
        context_tokens: usize,
        reserve_tokens: usize,
    ) -> Result<Prompt, TextError> {
        let conversation =
            Conversation { messages, extras: &TemplateExtras::default(), origin: None };
        self.fit_conversation(&conversation, context_tokens, reserve_tokens)
    }

    /// Like [`Text::fit`], with tools and options, and if it has an origin, with remembered answers
    /// as in [`Text::prompt_for`]. If the template knows nothing of tools, messages tell the model of
    /// them.
    ///
    /// Errors: as [`Text::fit`].
    pub fn fit_conversation(
        &self,
        conversation: &Conversation<'_>,
        context_tokens: usize,
        reserve_tokens: usize,
    ) -> Result<Prompt, TextError> {
        let limit = context_tokens.saturating_sub(reserve_tokens);
        let Conversation { messages, extras, origin } = *conversation;
        let speaks_of_tools =
            |message: &Message| message.role == Role::Tool || !message.tool_calls.is_empty();
        let has_tools = !extras.tools.is_empty() || messages.iter().any(speaks_of_tools);
        if has_tools && !self.template.knows_tools() {
            let messages = as_text(messages, &extras.tools);
            let options = extras.options.clone();
            let extras = self.guarded(&TemplateExtras { options, ..TemplateExtras::default() });
            return self.fit_within(limit, &messages, &extras, origin);
        }
        self.fit_within(limit, messages, &self.guarded(extras), origin)
    }

    fn fit_within(
        &self,
        limit: usize,
        messages: &[Message],
        extras: &TemplateExtras,
        origin: Option<Origin>,
    ) -> Result<Prompt, TextError> {
        let history = History::new(messages);
        let turns = history.turn_starts.len();
        let without = |dropped: usize| {
            let ids = self.render(history.without(dropped), extras, origin)?;
            Ok(Prompt { ids, dropped_messages: history.dropped_messages(dropped) })
        };
        let content: usize = messages.iter().map(|message| message.content.len()).sum();
        if turns <= 1 || content / LIKELY_TOKEN_BYTES <= limit {
            let whole = without(0)?;
            if turns <= 1 || whole.ids.len() <= limit {
                return fitting(whole, limit);
            }
        }
        // Finds the largest number of turns that fits: doubles it until the turns are too many,
        // then halves the distance. No try renders more than twice the text that is kept in the
        // end, so a long history costs no more than a short one.
        let mut best = fitting(without(turns - 1)?, limit)?;
        let (mut enough, mut too_many) = (1, turns + 1);
        while too_many - enough > 1 {
            let tried = (enough * 2).min(usize::midpoint(enough, too_many));
            let prompt = without(turns - tried)?;
            if prompt.ids.len() <= limit {
                best = prompt;
                enough = tried;
            } else {
                too_many = tried;
            }
        }
        let dropped = turns - enough;
        let further = history.next_cut(dropped);
        if further == dropped {
            return Ok(best);
        }
        let cut = without(further)?;
        // A template may write more for fewer messages. If the shorter history does not fit for
        // that reason, the longer one is used, which does.
        Ok(if cut.ids.len() <= limit { cut } else { best })
    }

    /// Remembers the tokens that the model chose for an answer, and returns them. They are used
    /// when `text` comes back in a history of the same conversation.
    ///
    /// The remembered tokens spell exactly `text`, which was shown to the user:
    /// - An end token is left out, because the template writes its own.
    /// - If the text ends inside a token (at a stop string or inside a character), the tokenizer
    ///   cuts the text from there on into tokens.
    /// - An answer with a control token in the middle is not remembered, because `text` does not
    ///   show that token. The result is then `None`.
    pub fn remember_answer(
        &self,
        origin: Origin,
        text: &str,
        chosen: &[TokenId],
    ) -> Option<Vec<TokenId>> {
        let ids = self.shown_tokens(text, chosen)?;
        self.remembered.remember(origin, text, &ids);
        Some(ids)
    }

    /// Remembers an answer again by the tokens that [`Text::remember_answer`] returned for it
    /// earlier. Does nothing if an answer with the same text is remembered already, or if `ids` are
    /// damaged.
    pub fn restore_answer(&self, origin: Origin, ids: &[TokenId]) {
        // The tokens come from outside, so they may be damaged or belong to another model.
        let text = self.spelled(ids);
        if self.shown_tokens(&text, ids).as_deref() == Some(ids)
            && self.remembered.find(origin, &text).is_none()
        {
            self.remembered.remember(origin, &text, ids);
        }
    }

    /// Forgets the remembered answers of a conversation, or of a whole tenant.
    pub fn forget_answers(&self, meant: &Origin) {
        self.remembered.forget(meant);
    }

    /// The bytes that a token stands for; empty for control tokens and for ids without a token.
    pub fn token_bytes(&self, id: TokenId) -> &[u8] {
        self.tokenizer.token_bytes(id)
    }

    /// The bytes that a token is shown as: those that it stands for, or of a control token its
    /// literal.
    pub fn shown_bytes(&self, id: TokenId) -> &[u8] {
        match self.token_bytes(id) {
            [] => self.scaffold.literal_of(id).map_or(&[], str::as_bytes),
            bytes => bytes,
        }
    }

    /// Whether a token ends an answer.
    pub fn is_end(&self, id: TokenId) -> bool {
        self.end_tokens.contains(&id)
    }

    /// Whether an id has a token. An id without a token is never sampled.
    pub fn has_token(&self, id: TokenId) -> bool {
        self.has_token.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// The number of ids, unused ones included.
    pub fn token_count(&self) -> usize {
        self.tokenizer.token_count()
    }

    fn render<'a>(
        &self,
        messages: impl Iterator<Item = &'a Message>,
        extras: &TemplateExtras,
        origin: Option<Origin>,
    ) -> Result<Vec<TokenId>, TextError> {
        let mut answers = Vec::new();
        let guarded: Vec<TemplateMessage> =
            messages.map(|message| self.template_message(message, origin, &mut answers)).collect();
        let rendered = self.template.render(&guarded, extras)?;
        Ok(self.tokens_of(self.scaffold.split(&rendered), &answers))
    }

    /// The tokens of a split prompt; `answers` are the messages that are given as tokens.
    fn tokens_of(&self, parts: Vec<Part>, answers: &[Arc<[TokenId]>]) -> Vec<TokenId> {
        let mut ids = Vec::new();
        for part in parts {
            match part {
                Part::Control(id) => ids.push(id),
                Part::Text(text) => self.tokenizer.encode_into(&text, &mut ids),
                Part::Tokens(index) => {
                    ids.extend(answers.get(index).into_iter().flat_map(|a| &**a))
                }
            }
        }
        if let Some(bos) = self.bos.filter(|bos| ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        ids
    }

    /// The same with every text in it guarded.
    fn guarded(&self, extras: &TemplateExtras) -> TemplateExtras {
        let guard = |value| self.scaffold.guard_value(value);
        let options = extras.options.iter().map(|(name, value)| (name.clone(), guard(value)));
        TemplateExtras {
            tools: extras.tools.iter().map(guard).collect(),
            options: options.collect(),
        }
    }

    /// A message as the template gets it. An answer whose tokens are known becomes a placeholder
    /// for them, and they are added to `answers`; any other content is guarded.
    ///
    /// An answer that contains the literal of an added token, or begins or ends with white space,
    /// is guarded as well: templates may cut it apart or trim it.
    fn template_message(
        &self,
        message: &Message,
        origin: Option<Origin>,
        answers: &mut Vec<Arc<[TokenId]>>,
    ) -> TemplateMessage {
        let may_be_known =
            message.role == Role::Assistant && self.is_passed_on_whole(&message.content);
        let known = may_be_known.then(|| self.known_tokens(message, origin)).flatten();
        let content = match known {
            Some(ids) => {
                answers.push(ids);
                Scaffold::placeholder(answers.len() - 1)
            }
            None => self.scaffold.guard(&message.content),
        };
        let tool_calls = message.tool_calls.iter().map(|call| self.template_call(call)).collect();
        TemplateMessage { role: message.role, content, tool_calls }
    }

    /// A call of a function as OpenAI's interface writes it, guarded.
    fn template_call(&self, ToolCall { name, arguments }: &ToolCall) -> serde_json::Value {
        let arguments = self.scaffold.guard_value(arguments);
        let function = json!({"name": self.scaffold.guard(name), "arguments": arguments});
        json!({"type": "function", "function": function})
    }

    /// The tokens that made an answer: those that came with it, or else the remembered ones.
    fn known_tokens(&self, message: &Message, origin: Option<Origin>) -> Option<Arc<[TokenId]>> {
        // Tokens that come with a message may be damaged or belong to another model.
        let given = message.tokens.as_deref();
        let spelling = given.and_then(|given| self.shown_tokens(&message.content, given));
        match spelling {
            Some(ids) => Some(ids.into()),
            None => self.remembered.find(origin?, &message.content),
        }
    }

    /// Whether a template passes content on as it is, so that tokens may take its place.
    fn is_passed_on_whole(&self, content: &str) -> bool {
        !content.is_empty()
            && content.trim().len() == content.len()
            && !self.scaffold.is_spelled_in(content)
    }

    /// The tokens that spell a shown text: the chosen tokens whose text was shown in full, then the
    /// tokens that the tokenizer cuts the rest of the text into. `None` if a control token was
    /// chosen before the end, or if the tokens do not spell the text.
    fn shown_tokens(&self, text: &str, chosen: &[TokenId]) -> Option<Vec<TokenId>> {
        let chosen = match chosen {
            [before @ .., last] if self.is_end(*last) => before,
            all => all,
        };
        if chosen.iter().any(|id| !self.has_token(*id) || self.token_bytes(*id).is_empty()) {
            return None;
        }
        // The last place where a chosen token and a character of the text both end: the number of
        // tokens before it, and the text after it.
        let (mut decoder, mut rest) = (TextDecoder::default(), text);
        let mut whole = (0, text);
        for (index, id) in chosen.iter().enumerate() {
            let Some(after) = rest.strip_prefix(decoder.push(self, *id)) else { break };
            rest = after;
            if decoder.is_between_characters() {
                whole = (index + 1, rest);
            } else if index + 1 == chosen.len() && decoder.finish() == rest {
                whole = (index + 1, "");
            }
        }
        let mut ids = chosen[..whole.0].to_vec();
        self.tokenizer.encode_into(whole.1, &mut ids);
        // The tokenizer composes characters (NFC), so the tokens may spell another text.
        (self.spelled(&ids) == text).then_some(ids)
    }

    /// The text that tokens spell, control tokens as their literals.
    pub fn shown(&self, ids: &[TokenId]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.shown_bytes(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The text that tokens are shown as in an answer.
    fn spelled(&self, ids: &[TokenId]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.token_bytes(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Fails if a prompt is longer than `limit` tokens.
fn fitting(prompt: Prompt, limit: usize) -> Result<Prompt, TextError> {
    if prompt.ids.len() > limit {
        return Err(TextError::TooLong { tokens: prompt.ids.len(), limit });
    }
    Ok(prompt)
}

/// A conversation split into the system messages at its start and turns. A turn starts with a
/// user's message.
struct History<'a> {
    messages: &'a [Message],
    system_messages: usize,
    turn_starts: Vec<usize>,
}

impl<'a> History<'a> {
    fn new(messages: &'a [Message]) -> History<'a> {
        let system_messages =
            messages.iter().take_while(|message| message.role == Role::System).count();
        let after_system = system_messages..messages.len();
        // Messages before the first message of the user belong to the first turn.
        let mut turn_starts: Vec<usize> =
            after_system.filter(|&index| messages[index].role == Role::User).collect();
        if let Some(first) = turn_starts.first_mut() {
            *first = system_messages;
        }
        History { messages, system_messages, turn_starts }
    }

    /// How many turns to drop if at least `turns` must go.
    ///
    /// The conversation's bytes are divided into pieces of equal size. A history is cut only at a
    /// turn that begins in another piece than the turn before it:
    ///
    /// ```text
    /// bytes   0         64        128       192
    /// pieces  |         |         |         |
    /// turns   1....2.......3....4......5..6....
    ///                      ^           ^        possible cuts: before turns 3 and 5
    /// ```
    ///
    /// The size of a piece is a power of two, a quarter to a half of the bytes that would be kept.
    /// So the cuts stay where they are while the conversation grows a little, and consecutive
    /// requests reuse the cache. The newest turn is never dropped, and 0 stays 0.
    fn next_cut(&self, turns: usize) -> usize {
        if turns == 0 {
            return 0;
        }
        let mut before = 0;
        let mut bytes_before = vec![0; self.messages.len() + 1];
        for (index, message) in self.messages.iter().enumerate().skip(self.system_messages) {
            before += message.content.len();
            bytes_before[index + 1] = before;
        }
        let begins_at = |turn: usize| bytes_before[self.turn_starts[turn]];
        let kept_bytes = before - begins_at(turns);
        let piece_bits = (kept_bytes / 2).checked_ilog2().unwrap_or(0);
        let is_cut =
            |turn: &usize| begins_at(*turn) >> piece_bits > begins_at(*turn - 1) >> piece_bits;
        let last = self.turn_starts.len() - 1;
        (turns..last).find(is_cut).unwrap_or(last)
    }

    /// How many messages the first `turns` turns have.
    fn dropped_messages(&self, turns: usize) -> usize {
        self.turn_starts.get(turns).map_or(0, |start| start - self.system_messages)
    }

    /// The messages without those of the first `turns` turns.
    fn without(&self, turns: usize) -> impl Iterator<Item = &'a Message> {
        let (system, rest) = self.messages.split_at(self.system_messages);
        system.iter().chain(&rest[self.dropped_messages(turns)..])
    }
}
