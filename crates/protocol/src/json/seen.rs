//! Which structs were read at which places. Tests use it to find fields that they do not know.

use super::read::joined;
use std::cell::RefCell;

/// A struct that was read.
#[derive(Clone, Debug)]
pub(crate) struct SeenStruct {
    /// The path of the object: `messages[0]`. Empty for the whole.
    pub(crate) place: String,
    /// Every field that the struct has, whether or not the object had it.
    pub(crate) fields: &'static [&'static str],
}

#[derive(Default)]
struct Watch {
    steps: Vec<String>,
    structs: Vec<SeenStruct>,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// The structs that `work` reads on this thread, the outer ones first.
pub(crate) fn structs_read_by(work: impl FnOnce()) -> Vec<SeenStruct> {
    WATCH.set(Some(Watch::default()));
    work();
    WATCH.take().expect("nobody else takes it").structs
}

/// A struct with these fields is read here.
pub(super) fn note(fields: &'static [&'static str]) {
    WATCH.with_borrow_mut(|watch| {
        let Some(Watch { steps, structs }) = watch else { return };
        let place = steps.iter().rev().fold(String::new(), |inner, step| joined(step, &inner));
        structs.push(SeenStruct { place, fields });
    });
}

/// Until it is dropped, what is read stands inside this field or entry of a list.
pub(super) struct Inside;

pub(super) fn inside(step: impl Into<String>) -> Inside {
    WATCH.with_borrow_mut(|watch| {
        if let Some(watch) = watch {
            watch.steps.push(step.into());
        }
    });
    Inside
}

impl Drop for Inside {
    fn drop(&mut self) {
        WATCH.with_borrow_mut(|watch| {
            if let Some(watch) = watch {
                watch.steps.pop();
            }
        });
    }
}
