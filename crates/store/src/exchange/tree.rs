//! Makes the tree of a conversation from nodes that name their parents.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::{ImportError, ImportedMessage};
use crate::message::Role;

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
#[derive(Clone, Default)]
struct Passed {
    /// The last message so far, as an index.
    message: Option<usize>,
    thinking: String,
}

/// Puts nodes into an order in which each comes after its parent, and otherwise as they are.
///
/// `path` is that of the nodes, for errors; `current` the key of the node at which the branch ends
/// that is shown.
pub(crate) fn build(
    nodes: Vec<Node>,
    (path, current): (&str, Option<&str>),
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
    let keys: Vec<String> = nodes.iter().map(|node| node.key.clone()).collect();
    let mut contents: Vec<Option<Content>> =
        nodes.into_iter().map(|node| Some(node.content)).collect();
    let mut passed: Vec<Passed> = vec![Passed::default(); keys.len()];
    let mut messages = Vec::new();
    while let Some(Reverse(index)) = ready.pop() {
        let before = parents[index].map(|parent| passed[parent].clone()).unwrap_or_default();
        let content = contents[index].take().expect("a node has one parent, so it comes once");
        passed[index] = take(content, before, &mut messages);
        ready.extend(children[index].iter().map(|child| Reverse(*child)));
    }
    if let Some(left) = contents.iter().position(Option::is_some) {
        return Err(ImportError::Cycle { path: format!("{path}.{}", keys[left]) });
    }
    let leaf = match current {
        Some(index) => passed[index].message,
        None => messages.len().checked_sub(1),
    };
    Ok(Messages { messages, leaf })
}

fn parents(nodes: &[Node], path: &str) -> Result<Vec<Option<usize>>, ImportError> {
    let at = |node: &Node| format!("{path}.{}", node.key);
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

fn take(content: Content, before: Passed, messages: &mut Vec<ImportedMessage>) -> Passed {
    match content {
        Content::Nothing => before,
        Content::Thinking(text) => {
            let gap = if before.thinking.is_empty() { "" } else { "\n\n" };
            Passed { thinking: [&before.thinking, gap, &text].concat(), ..before }
        }
        Content::Message(mut message) => {
            message.parent = before.message;
            if message.role == Role::Assistant && message.thinking.is_empty() {
                message.thinking = before.thinking;
            }
            messages.push(*message);
            Passed { message: Some(messages.len() - 1), thinking: String::new() }
        }
    }
}
