//! A conversation as the tokens the model reads.

use std::sync::Arc;

use super::decoder::TextDecoder;
use super::remembered::RememberedAnswers;
use super::scaffold::{Part, Scaffold};
use super::template::{Template, TemplateMessage, TextEnds};
use super::tokenizer::Tokenizer;
use super::{Message, Role, TextError, TokenId, Vocabulary};
use crate::origin::Origin;

/// A conversation that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What the model reads.
    pub ids: Vec<TokenId>,
    /// Messages that were left out, oldest first; the system message never is.
    pub dropped_messages: usize,
}

/// A token is hardly ever longer. A history with more bytes than this for each token of room must be cut
/// anyway, so it is not rendered whole first.
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
    /// Prepares the text side of a model; without a template it speaks ChatML.
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

    /// The tokens of content: never control tokens, whatever it spells.
    pub fn encode(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::new();
        self.tokenizer.encode_into(text, &mut ids);
        ids
    }

    /// The tokens of a conversation, up to where the model's answer begins: a function of its text
    /// alone, whatever was answered before.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<TokenId>, TextError> {
        self.render(messages.iter(), None)
    }

    /// The same for a conversation whose answers may be remembered: one that comes back unchanged
    /// keeps its own tokens.
    pub fn prompt_for(
        &self,
        origin: Origin,
        messages: &[Message],
    ) -> Result<Vec<TokenId>, TextError> {
        self.render(messages.iter(), Some(origin))
    }

    /// The newest part of a conversation that leaves `reserve_tokens` of `context_tokens` free:
    /// whole turns go from the oldest, a system message at the start stays.
    ///
    /// More turns are dropped than necessary, up to a place that stays the same for a while. The next
    /// requests of the conversation then drop the same turns and begin with the same tokens, so they
    /// find what was computed for this one.
    ///
    /// Errors: [`TextError::TooLong`] if the newest turn alone does not fit.
    pub fn fit(
        &self,
        messages: &[Message],
        context_tokens: usize,
        reserve_tokens: usize,
    ) -> Result<Prompt, TextError> {
        self.fit_within(context_tokens.saturating_sub(reserve_tokens), messages, None)
    }

    /// The same for a conversation whose answers may be remembered.
    ///
    /// Errors: as [`Text::fit`].
    pub fn fit_for(
        &self,
        origin: Origin,
        messages: &[Message],
        context_tokens: usize,
        reserve_tokens: usize,
    ) -> Result<Prompt, TextError> {
        self.fit_within(context_tokens.saturating_sub(reserve_tokens), messages, Some(origin))
    }

    fn fit_within(
        &self,
        limit: usize,
        messages: &[Message],
        origin: Option<Origin>,
    ) -> Result<Prompt, TextError> {
        let history = History::new(messages);
        let turns = history.turn_starts.len();
        let without = |dropped: usize| {
            let ids = self.render(history.without(dropped), origin)?;
            Ok(Prompt { ids, dropped_messages: history.dropped_messages(dropped) })
        };
        let content: usize = messages.iter().map(|message| message.content.len()).sum();
        if turns <= 1 || content / LIKELY_TOKEN_BYTES <= limit {
            let whole = without(0)?;
            if turns <= 1 || whole.ids.len() <= limit {
                return fitting(whole, limit);
            }
        }
        // Looks for the most turns that fit: doubles their number until they are too many, then
        // halves the distance. No try renders more than twice what is kept in the end, so a long
        // history costs no more than a short one.
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
        // A template may write more for fewer messages. If that no longer fits, the earlier place is
        // kept, where everything fits.
        Ok(if cut.ids.len() <= limit { cut } else { best })
    }

    /// Remembers the tokens that were chosen for an answer, for when its text comes back in a
    /// history of the same conversation, and returns those it remembers: exactly the tokens of what
    /// was shown.
    ///
    /// An end token is no part of them, as the template writes its own. Where the text ends within
    /// a token, before a stop string or half a character, the rest of it is cut as any text. An
    /// answer with a control token in its middle is not remembered: its text does not tell of it.
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

    /// Remembers an answer by what [`Text::remember_answer`] returned for it earlier, unless it was
    /// given again meanwhile.
    pub fn restore_answer(&self, origin: Origin, ids: &[TokenId]) {
        // What was kept elsewhere may be damaged, or be another model's.
        let text = self.spelled(ids);
        if self.shown_tokens(&text, ids).as_deref() == Some(ids)
            && self.remembered.find(origin, &text).is_none()
        {
            self.remembered.remember(origin, &text, ids);
        }
    }

    /// Forgets the answers of a conversation, or of a whole tenant.
    pub fn forget_answers(&self, meant: &Origin) {
        self.remembered.forget(meant);
    }

    /// The bytes a token stands for; none for control tokens.
    pub fn token_bytes(&self, id: TokenId) -> &[u8] {
        self.tokenizer.token_bytes(id)
    }

    /// Whether a token ends an answer.
    pub fn is_end(&self, id: TokenId) -> bool {
        self.end_tokens.contains(&id)
    }

    /// Whether a row of the vocabulary has a token; others are never sampled.
    pub fn has_token(&self, id: TokenId) -> bool {
        self.has_token.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// How many ids there are.
    pub fn token_count(&self) -> usize {
        self.tokenizer.token_count()
    }

    fn render<'a>(
        &self,
        messages: impl Iterator<Item = &'a Message>,
        origin: Option<Origin>,
    ) -> Result<Vec<TokenId>, TextError> {
        let mut answers = Vec::new();
        let guarded: Vec<TemplateMessage> =
            messages.map(|message| self.template_message(message, origin, &mut answers)).collect();
        let mut ids = Vec::new();
        for part in self.scaffold.split(&self.template.render(&guarded)?) {
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
        Ok(ids)
    }

    /// An unchanged answer keeps its own tokens, unless it spells an added token or has white space
    /// at an end: templates cut such content apart and trim it.
    fn template_message(
        &self,
        message: &Message,
        origin: Option<Origin>,
        answers: &mut Vec<Arc<[TokenId]>>,
    ) -> TemplateMessage {
        let origin = origin.filter(|_| message.role == Role::Assistant);
        let known = origin.and_then(|origin| self.remembered.find(origin, &message.content));
        let content = match known {
            Some(ids) if self.is_passed_on_whole(&message.content) => {
                answers.push(ids);
                Scaffold::placeholder(answers.len() - 1)
            }
            _ => self.scaffold.guard(&message.content),
        };
        TemplateMessage { role: message.role, content }
    }

    fn is_passed_on_whole(&self, content: &str) -> bool {
        content.trim().len() == content.len() && !self.scaffold.is_spelled_in(content)
    }

    /// The tokens that spell a shown text: those that were chosen, as far as all of each was shown,
    /// and what the rest is cut into. None if something was chosen that no text shows.
    fn shown_tokens(&self, text: &str, chosen: &[TokenId]) -> Option<Vec<TokenId>> {
        let chosen = match chosen {
            [before @ .., last] if self.is_end(*last) => before,
            all => all,
        };
        if chosen.iter().any(|id| self.token_bytes(*id).is_empty()) {
            return None;
        }
        // The last place at which text and tokens are both between two characters.
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
        // Cutting composes characters; tokens that spell another text are not those of this one.
        (self.spelled(&ids) == text).then_some(ids)
    }

    /// The text that tokens are shown as.
    fn spelled(&self, ids: &[TokenId]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.token_bytes(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn fitting(prompt: Prompt, limit: usize) -> Result<Prompt, TextError> {
    if prompt.ids.len() > limit {
        return Err(TextError::TooLong { tokens: prompt.ids.len(), limit });
    }
    Ok(prompt)
}

/// A conversation as system messages and turns. A turn starts with a user's message.
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
        // Messages before the first user's belong to the first turn.
        let mut turn_starts: Vec<usize> =
            after_system.filter(|&index| messages[index].role == Role::User).collect();
        if let Some(first) = turn_starts.first_mut() {
            *first = system_messages;
        }
        History { messages, system_messages, turn_starts }
    }

    /// How many turns to drop if at least `turns` must go.
    ///
    /// The conversation's bytes are divided into pieces of equal size, and a history is cut only at the
    /// first turn that begins in another piece than the turn before it. A piece has a quarter to a
    /// half of the bytes that would be kept. Its size is a power of two, so the places stay where they
    /// are while the conversation grows a little. The newest turn is never dropped, and 0 stays 0.
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

    fn dropped_messages(&self, turns: usize) -> usize {
        self.turn_starts.get(turns).map_or(0, |start| start - self.system_messages)
    }

    fn without(&self, turns: usize) -> impl Iterator<Item = &'a Message> {
        let (system, rest) = self.messages.split_at(self.system_messages);
        system.iter().chain(&rest[self.dropped_messages(turns)..])
    }
}
