//! Tests of the whole store. Those that are named after a case, such as `s14_…`, check what must
//! hold when something fails.

mod answers;
mod conversations;
mod crash;
mod disk;
mod erase;
mod exchange;
mod exchange_limits;
mod files;
mod made_keys;
mod migration;
mod odd_input;
mod pairs;
mod responses;
mod search;
mod support;
mod users;
