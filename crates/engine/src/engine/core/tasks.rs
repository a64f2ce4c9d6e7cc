//! The tasks of the engine's thread: each sequence is computed for one.

use std::collections::HashMap;

use crate::StopFlag;
use crate::engine::answer::Answer;
use crate::engine::embedding::Embedding;
use crate::scheduler::SequenceId;

/// An answer, an embedding or a draft: the reason for which a sequence is computed.
#[derive(Debug)]
pub enum Task {
    /// An answer, from its arrival to its end.
    Answer(Box<Answer>),
    /// An embedding, from its arrival to its end.
    Embedding(Embedding),
    /// A message that is still being typed; it ends with its step.
    Draft(StopFlag),
}

impl Task {
    /// Raised when it is to end.
    pub fn stop_flag(&self) -> &StopFlag {
        match self {
            Task::Answer(answer) => answer.stop_flag(),
            Task::Embedding(embedding) => embedding.stop_flag(),
            Task::Draft(stop) => stop,
        }
    }
}

/// The task of every sequence that runs or waits.
#[derive(Debug, Default)]
pub struct Tasks(HashMap<SequenceId, Task>);

impl Tasks {
    pub fn insert(&mut self, id: SequenceId, task: Task) {
        self.0.insert(id, task);
    }

    pub fn remove(&mut self, id: SequenceId) -> Option<Task> {
        self.0.remove(&id)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, id: SequenceId) -> bool {
        self.0.contains_key(&id)
    }

    pub fn ids(&self) -> impl Iterator<Item = SequenceId> {
        self.0.keys().copied()
    }

    pub fn answers_mut(&mut self) -> impl Iterator<Item = &mut Answer> {
        self.0.values_mut().filter_map(|task| match task {
            Task::Answer(answer) => Some(&mut **answer),
            Task::Embedding(_) | Task::Draft(_) => None,
        })
    }

    /// Panics if the sequence has none.
    pub fn of(&self, id: SequenceId) -> &Task {
        self.0.get(&id).unwrap_or_else(|| panic!("{id:?} has no task"))
    }

    /// Panics if the sequence has none.
    pub fn of_mut(&mut self, id: SequenceId) -> &mut Task {
        self.0.get_mut(&id).unwrap_or_else(|| panic!("{id:?} has no task"))
    }

    /// Panics if the sequence is not that of an answer.
    pub fn answer(&self, id: SequenceId) -> &Answer {
        match self.of(id) {
            Task::Answer(answer) => answer,
            other => panic!("{id:?} is no answer: {other:?}"),
        }
    }

    /// Panics if the sequence is not that of an answer.
    pub fn answer_mut(&mut self, id: SequenceId) -> &mut Answer {
        match self.of_mut(id) {
            Task::Answer(answer) => answer,
            other => panic!("{id:?} is no answer: {other:?}"),
        }
    }
}
