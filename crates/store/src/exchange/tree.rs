//! Makes the tree of a conversation from nodes that name their parents.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::value::path_of;
use super::{Import, ImportError, ImportLimits, ImportedMessage};
use crate::message::Role;

/// Between two thoughts of the same answer.
const GAP: &str = "\n\n";

/// A node of a file's tree.
pub(crate) struct Node {
    pub key: String,
    pub parent: Option<String>,
    pub content: Content,
}

/// What a node is.
pub(crate) enum Content {
    /// A message.
    Message(Box<ImportedMessage>),
    /// What a model thought before its next answer.
    Thinking(String),
    /// Nothing that is taken. What follows it comes after what is before it.
    Nothing,
}

/// The messages of a tree, each after its parent, and the place of the one that is current.
pub(crate) struct Messages {
    pub messages: Vec<ImportedMessage>,
    pub leaf: Option<usize>,
}

/// What is passed on from a node to those after it.
#[derive(Clone, Copy, Default)]
struct Passed {
    /// The last message so far, as an index.
    message: Option<usize>,
    /// The last thought since then, as an index.
    thought: Option<usize>,
}

/// A node's thought. Nodes share it by its index, because each may come before thousands of others.
struct Thought {
    text: String,
    /// The thought before it.
    before: Option<usize>,
    /// Bytes of it and of all before it.
    bytes: usize,
    /// Whether an answer has it already.
    is_used: bool,
}

/// Puts nodes into an order in which each comes after its parent, and otherwise as they are.
///
/// `path` is that of the nodes, for errors; `current` the key of the node at which the branch ends
/// that is shown.
pub(crate) fn build(
    nodes: Vec<Node>,
    (path, current): (&str, Option<&str>),
    import: &mut Import<'_>,
) -> Result<Messages, ImportError> {
    let parents = parents(&nodes, path)?;
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut ready = BinaryHeap::new();
    for (index, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(index),
            None => ready.push(Reverse(index)),
        }
    }
    let current = current.and_then(|key| nodes.iter().position(|node| node.key == key));
    let keys: Vec<String> = nodes.iter().map(|node| path_of(path, &node.key)).collect();
    let mut contents: Vec<Option<Content>> =
        nodes.into_iter().map(|node| Some(node.content)).collect();
    let mut passed: Vec<Passed> = vec![Passed::default(); keys.len()];
    let (limits, copied_bytes) = (import.limits, &mut import.copied_bytes);
    let mut builder = Builder { messages: Vec::new(), thoughts: Vec::new(), limits, copied_bytes };
    while let Some(Reverse(index)) = ready.pop() {
        let before = parents[index].map(|parent| passed[parent]).unwrap_or_default();
        let content = contents[index].take().expect("a node has one parent, so it comes once");
        passed[index] = builder.take(content, before, &keys[index])?;
        ready.extend(children[index].iter().map(|child| Reverse(*child)));
    }
    if let Some(left) = contents.iter().position(Option::is_some) {
        return Err(ImportError::Cycle { path: keys[left].clone() });
    }
    let mut messages = builder.messages;
    // They stay until the whole file is read.
    messages.shrink_to_fit();
    let leaf = match current {
        Some(index) => passed[index].message,
        None => messages.len().checked_sub(1),
    };
    Ok(Messages { messages, leaf })
}

fn parents(nodes: &[Node], path: &str) -> Result<Vec<Option<usize>>, ImportError> {
    let at = |node: &Node| path_of(path, &node.key);
    let mut indexes = HashMap::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        if indexes.insert(node.key.as_str(), index).is_some() {
            return Err(ImportError::DuplicateId { path: at(node) });
        }
    }
    let find = |node: &Node| match &node.parent {
        None => Ok(None),
        Some(parent) => match indexes.get(parent.as_str()) {
            Some(index) => Ok(Some(*index)),
            None => Err(ImportError::MissingParent { path: at(node) }),
        },
    };
    nodes.iter().map(find).collect()
}

/// Collects the messages of a tree.
struct Builder<'a> {
    messages: Vec<ImportedMessage>,
    thoughts: Vec<Thought>,
    limits: &'a ImportLimits,
    /// Bytes of thoughts that answers of the file have after another has them.
    copied_bytes: &'a mut usize,
}

impl Builder<'_> {
    /// Takes what a node has, and says what it passes on.
    fn take(
        &mut self,
        content: Content,
        before: Passed,
        path: &str,
    ) -> Result<Passed, ImportError> {
        match content {
            Content::Nothing => Ok(before),
            Content::Thinking(text) if text.is_empty() => Ok(before),
            Content::Thinking(text) => self.add_thought(text, before, path),
            Content::Message(mut message) => {
                message.parent = before.message;
                if message.role == Role::Assistant && message.thinking.is_empty() {
                    message.thinking = self.thinking(before.thought, path)?;
                }
                self.messages.push(*message);
                Ok(Passed { message: Some(self.messages.len() - 1), thought: None })
            }
        }
    }

    fn add_thought(
        &mut self,
        text: String,
        before: Passed,
        path: &str,
    ) -> Result<Passed, ImportError> {
        let bytes_before = before.thought.map_or(0, |index| self.thoughts[index].bytes + GAP.len());
        let (limit, found) = (self.limits.answer_bytes, bytes_before + text.len());
        if found > limit {
            return Err(ImportError::TooLong { path: path.into(), limit, found });
        }
        self.thoughts.push(Thought { text, before: before.thought, bytes: found, is_used: false });
        Ok(Passed { thought: Some(self.thoughts.len() - 1), ..before })
    }

    /// The thoughts up to this one, as one text.
    fn thinking(&mut self, last: Option<usize>, path: &str) -> Result<String, ImportError> {
        let mut indexes = Vec::new();
        let mut next = last;
        while let Some(index) = next {
            self.count_copy(index, path)?;
            indexes.push(index);
            next = self.thoughts[index].before;
        }
        let texts = indexes.iter().rev().map(|index| self.thoughts[*index].text.as_str());
        Ok(texts.collect::<Vec<_>>().join(GAP))
    }

    /// Counts a thought that an answer gets, if another has it already. Without a limit, a file of
    /// 1 MB could become 10 GB.
    fn count_copy(&mut self, index: usize, path: &str) -> Result<(), ImportError> {
        let thought = &mut self.thoughts[index];
        if !thought.is_used {
            thought.is_used = true;
            return Ok(());
        }
        let (limit, found) =
            (self.limits.answer_bytes, *self.copied_bytes + thought.text.len() + GAP.len());
        if found > limit {
            return Err(ImportError::TooManyCopies { path: path.into(), limit });
        }
        *self.copied_bytes = found;
        Ok(())
    }
}
