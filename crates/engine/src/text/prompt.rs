//! A conversation as the tokens the model reads.

use std::sync::Arc;

use super::answers::Answers;
use super::scaffold::{Part, Scaffold};
use super::template::{Template, TemplateMessage, TextEnds};
use super::tokenizer::Tokenizer;
use super::{Message, Role, TextError, TokenId, Vocabulary};

/// A conversation that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What the model reads.
    pub ids: Vec<TokenId>,
    /// Messages that were left out, oldest first; the system message never is.
    pub dropped_messages: usize,
}

/// A history of more bytes than this for each token there is room for is not tried whole first.
const LIKELY_TOKEN_BYTES: usize = 8;

/// Everything that turns text into tokens and back, for one model.
#[derive(Debug)]
pub struct Text {
    tokenizer: Tokenizer,
    scaffold: Scaffold,
    template: Template,
    answers: Answers,
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
            answers: Answers::default(),
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

    /// The tokens of a conversation, up to where the model's answer begins.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<TokenId>, TextError> {
        let mut answers = Vec::new();
        let guarded: Vec<TemplateMessage> =
            messages.iter().map(|message| self.template_message(message, &mut answers)).collect();
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

    /// The newest part of a conversation that leaves `reserve_tokens` of `context_tokens` free:
    /// whole turns go from the oldest, a system message at the start stays.
    ///
    /// Some more turns go than must, up to a place that stays the same for a while: the next turns lose the
    /// same ones, and what was computed for this one is found.
    ///
    /// Errors: [`TextError::TooLong`] if the newest turn alone does not fit.
    pub fn fit(
        &self,
        messages: &[Message],
        context_tokens: usize,
        reserve_tokens: usize,
    ) -> Result<Prompt, TextError> {
        let limit = context_tokens.saturating_sub(reserve_tokens);
        let history = History::new(messages);
        let turns = history.turn_starts.len();
        let content: usize = messages.iter().map(|message| message.content.len()).sum();
        if turns <= 1 || content / LIKELY_TOKEN_BYTES <= limit {
            let ids = self.prompt(messages)?;
            if ids.len() <= limit || turns <= 1 {
                return fitting(ids, 0, limit);
            }
        }
        // The most turns that fit: twice as many until too many, then by halves. Each try reads at
        // most twice what is kept in the end, so a long history costs no more than a short one.
        let kept = |turns_kept: usize| {
            let dropped = turns - turns_kept;
            Ok((self.prompt(&history.without(dropped))?, history.dropped_messages(dropped)))
        };
        let (ids, dropped) = kept(1)?;
        let mut best = fitting(ids, dropped, limit)?;
        let (mut enough, mut too_many) = (1, turns + 1);
        let most = |best: Prompt, dropped: usize| {
            let further = history.next_cut(dropped);
            if further == dropped {
                return Ok(best);
            }
            let ids = self.prompt(&history.without(further))?;
            Ok(Prompt { ids, dropped_messages: history.dropped_messages(further) })
        };
        while too_many - enough > 1 {
            let tried = (enough * 2).min(usize::midpoint(enough, too_many));
            let (ids, dropped) = kept(tried)?;
            if ids.len() <= limit {
                best = Prompt { ids, dropped_messages: dropped };
                enough = tried;
            } else {
                too_many = tried;
            }
        }
        most(best, turns - enough)
    }

    /// Remembers the tokens that made an answer, for when its text comes back in a history.
    pub fn remember_answer(&self, text: &str, ids: &[TokenId]) {
        self.answers.remember(text, ids);
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

    fn is_passed_on_whole(&self, content: &str) -> bool {
        content.trim().len() == content.len() && !self.scaffold.is_spelled_in(content)
    }

    /// An unchanged answer keeps its own tokens, unless it spells an added token or has white space
    /// at an end: templates cut such content apart and trim it.
    fn template_message(
        &self,
        message: &Message,
        answers: &mut Vec<Arc<[TokenId]>>,
    ) -> TemplateMessage {
        let is_answer = message.role == Role::Assistant;
        let known = is_answer.then(|| self.answers.find(&message.content)).flatten();
        let content = match known {
            Some(ids) if self.is_passed_on_whole(&message.content) => {
                answers.push(ids);
                Scaffold::placeholder(answers.len() - 1)
            }
            _ => self.scaffold.guard(&message.content),
        };
        TemplateMessage { role: message.role, content }
    }
}

fn fitting(ids: Vec<TokenId>, dropped_messages: usize, limit: usize) -> Result<Prompt, TextError> {
    if ids.len() > limit {
        return Err(TextError::TooLong { tokens: ids.len(), limit });
    }
    Ok(Prompt { ids, dropped_messages })
}

/// A conversation seen as a system message and turns, each starting with a user's message.
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

    /// Of the places where a history may be cut, the first at which at least `turns` turns are dropped.
    ///
    /// They are where turns begin behind a whole number of pieces of the conversation, which are a quarter to
    /// half of what would be kept; a power of two, so that they stay where they are while that
    /// changes a little. The newest turn stays.
    fn next_cut(&self, turns: usize) -> usize {
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

    fn without(&self, turns: usize) -> Vec<Message> {
        let (system, rest) = self.messages.split_at(self.system_messages);
        let rest = &rest[self.dropped_messages(turns)..];
        system.iter().chain(rest).cloned().collect()
    }
}
