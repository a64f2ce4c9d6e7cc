//! The engine thread and the handle the outside talks to.
