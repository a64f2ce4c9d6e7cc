//! What is told of each answer to whoever records traces.

use banter_seam::{AnswerTrace, Event, FinishReason, Finished, TraceParent, Tracer};
use std::sync::Arc;
use std::time::SystemTime;

/// Notes the times of one answer.
pub(super) struct Notes {
    tracer: Arc<dyn Tracer>,
    parent: Option<TraceParent>,
    id: u64,
    asked: SystemTime,
    begun: Option<SystemTime>,
    first_word: Option<SystemTime>,
}

impl Notes {
    /// An answer is asked for now.
    pub(super) fn begin(tracer: Arc<dyn Tracer>, id: u64, parent: Option<TraceParent>) -> Notes {
        let asked = SystemTime::now();
        Notes { tracer, parent, id, asked, begun: None, first_word: None }
    }

    /// The backend has told something.
    pub(super) fn saw(&mut self, event: &Event) {
        let is_word = match event {
            Event::Queued { .. } | Event::Alive => return,
            Event::Prefill { .. } | Event::Finished(_) => false,
            Event::Delta { .. } | Event::Thinking(_) | Event::Call { .. } | Event::Arguments(_) => {
                true
            }
        };
        self.begun.get_or_insert_with(SystemTime::now);
        if is_word {
            self.first_word.get_or_insert_with(SystemTime::now);
        }
    }

    /// The answer of this model has ended.
    pub(super) fn end(self, reason: &'static str, finished: &Finished, model: Option<String>) {
        let Notes { tracer, parent, id, asked, begun, first_word } = self;
        tracer.answered(AnswerTrace {
            parent,
            id,
            model,
            asked,
            begun,
            first_word,
            ended: SystemTime::now(),
            reason,
            has_failed: matches!(finished.reason, FinishReason::Failed(_)),
            usage: finished.usage,
        });
    }
}
