//! What the engine has told the disk's thread and the thread has not taken yet.
//!
//! The engine's thread never waits here, and a disk that stands still makes nothing grow. Each kind
//! of command therefore has its own limit, and its own answer to what happens there:
//!
//! ```text
//!  forget ──► one set ─────────── at the limit: whole tenants, then everything
//!  touch  ──► each name once ──── at the limit: the use is not noted
//!  save   ┐                       the engine counts them: `Disk::has_room`
//!  load   ├─► in order ────────── at the limit: refused, the sequence is computed
//!  keep   ┘                       at the limit: the answer is not kept
//! ```
//!
//! What is to be forgotten is never lost, and is taken first. Answers that were to be kept and
//! blocks that were to be saved before it was asked for are dropped here, so that they are not
//! written afterwards.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{KeptAnswer, Stored};
use crate::StopFlag;
use crate::kv_cache::block_name::BlockName;
use crate::origin::Origin;

/// Conversations that may wait to be forgotten.
pub(super) const MAX_FORGETS: usize = 1_024;

/// Blocks whose use may wait to be noted.
pub(super) const MAX_TOUCHES: usize = 1_024;

/// Fetches that may wait. More can be there than requests wait, because a request that gives up
/// leaves its fetch behind.
pub(super) const MAX_LOADS: usize = 256;

/// Answers that may wait to be kept.
pub(super) const MAX_KEEPS: usize = 256;

/// The most that can wait, all kinds together.
#[cfg(test)]
pub(super) const MAX_COMMANDS: usize =
    MAX_FORGETS + MAX_TOUCHES + super::SAVING_BLOCKS + MAX_LOADS + MAX_KEEPS;

/// What the thread does next.
#[derive(Debug)]
pub(super) enum Command {
    Forget(ForgetSet),
    /// In the order in which the blocks were used.
    Touch(Vec<BlockName>),
    Save(Stored),
    Load(Load),
    Keep(KeptAnswer),
}

/// Blocks that follow each other, wanted for one sequence.
#[derive(Debug)]
pub(super) struct Load {
    pub fetch: u64,
    pub names: Vec<BlockName>,
    pub stop: StopFlag,
}

/// What is to be forgotten. It may name more than was asked for, and never less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ForgetSet {
    origins: HashSet<Origin>,
    is_everything: bool,
}

/// Shared by the engine's thread and the disk's.
#[derive(Debug, Default)]
pub(super) struct Commands {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    forgets: ForgetSet,
    touched: VecDeque<BlockName>,
    /// The names in `touched`.
    is_touched: HashSet<BlockName>,
    queue: VecDeque<Command>,
    loads: usize,
    keeps: usize,
    /// Nobody sends any more.
    is_closed: bool,
}

impl ForgetSet {
    /// Adds a conversation, or a whole tenant.
    pub fn add(&mut self, meant: Origin) {
        if self.is_everything {
            return;
        }
        self.origins.insert(meant);
        if self.origins.len() > MAX_FORGETS {
            self.origins = self.origins.iter().map(|meant| meant.tenant.into()).collect();
        }
        if self.origins.len() > MAX_FORGETS {
            self.origins.clear();
            self.is_everything = true;
        }
    }

    /// Whether what belongs to this conversation is to be forgotten.
    pub fn covers(&self, origin: &Origin) -> bool {
        self.is_everything
            || self.origins.contains(origin)
            || self.origins.contains(&origin.tenant.into())
    }

    fn is_empty(&self) -> bool {
        !self.is_everything && self.origins.is_empty()
    }
}

impl From<Origin> for ForgetSet {
    fn from(meant: Origin) -> ForgetSet {
        let mut set = ForgetSet::default();
        set.add(meant);
        set
    }
}

impl Commands {
    /// Asks for something to be forgotten. Names the blocks that were to be saved and now are not.
    pub fn forget(&self, meant: Origin) -> Vec<BlockName> {
        let mut state = self.lock();
        state.forgets.add(meant);
        let mut dropped = Vec::new();
        let State { queue, keeps, .. } = &mut *state;
        queue.retain(|command| match command {
            Command::Keep(answer) if answer.origin.is_within(&meant) => {
                *keeps -= 1;
                false
            }
            Command::Save(block) if block.owner.is_some_and(|owner| owner.is_within(&meant)) => {
                dropped.push(block.name);
                false
            }
            _ => true,
        });
        self.changed.notify_one();
        dropped
    }

    /// Notes that a block was used, unless too many uses wait to be noted.
    pub fn touch(&self, name: BlockName) {
        let mut state = self.lock();
        if state.touched.len() < MAX_TOUCHES && state.is_touched.insert(name) {
            state.touched.push_back(name);
            self.changed.notify_one();
        }
    }

    /// Asks for a block to be written. The engine counts those that are on their way.
    pub fn save(&self, block: Stored) {
        self.lock().queue.push_back(Command::Save(block));
        self.changed.notify_one();
    }

    /// Asks for blocks; false if too many fetches wait.
    pub fn load(&self, load: Load) -> bool {
        let mut state = self.lock();
        if state.loads == MAX_LOADS {
            return false;
        }
        state.loads += 1;
        state.queue.push_back(Command::Load(load));
        self.changed.notify_one();
        true
    }

    /// Asks for an answer to be kept, unless too many wait for that.
    pub fn keep(&self, answer: KeptAnswer) {
        let mut state = self.lock();
        if state.keeps < MAX_KEEPS {
            state.keeps += 1;
            state.queue.push_back(Command::Keep(answer));
            self.changed.notify_one();
        }
    }

    /// Nobody sends any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits for the next command; none when all are taken and nobody sends any more.
    pub fn take(&self) -> Option<Command> {
        let mut state = self.lock();
        loop {
            if let Some(command) = state.next() {
                return Some(command);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is to be forgotten, if anything is; it need not be taken again.
    pub fn take_forgets(&self) -> Option<ForgetSet> {
        self.lock().next_forgets()
    }

    /// Whether anything is to be forgotten.
    pub fn has_forgets(&self) -> bool {
        !self.lock().forgets.is_empty()
    }

    /// Waits until nobody sends any more, but no longer than that; says whether it is so.
    pub fn wait_until_closed(&self, longest: Duration) -> bool {
        let until = Instant::now() + longest;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.is_closed || left.is_zero() {
                return state.is_closed;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic leaves the state whole: every change to it is complete or not begun.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many things wait, all kinds together.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        let state = self.lock();
        state.forgets.origins.len() + state.touched.len() + state.queue.len()
    }
}

impl State {
    fn next(&mut self) -> Option<Command> {
        if let Some(forgets) = self.next_forgets() {
            return Some(Command::Forget(forgets));
        }
        // Before a block is saved, which may evict what was not used for long.
        if !self.touched.is_empty() {
            self.is_touched.clear();
            return Some(Command::Touch(std::mem::take(&mut self.touched).into()));
        }
        let command = self.queue.pop_front()?;
        match &command {
            Command::Load(_) => self.loads -= 1,
            Command::Keep(_) => self.keeps -= 1,
            Command::Forget(_) | Command::Touch(_) | Command::Save(_) => {}
        }
        Some(command)
    }

    fn next_forgets(&mut self) -> Option<ForgetSet> {
        let forgets = std::mem::take(&mut self.forgets);
        (!forgets.is_empty()).then_some(forgets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv_cache::BLOCK_TOKENS;
    use crate::origin::{ConversationId, Tenant};
    use crate::text::TokenId;

    fn of(tenant: u64, conversation: u64) -> Origin {
        let conversation = Some(ConversationId(conversation));
        Origin { tenant: Tenant(tenant), conversation }
    }

    fn name(number: usize) -> BlockName {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&number.to_le_bytes());
        BlockName(name)
    }

    fn answer(origin: Origin) -> KeptAnswer {
        KeptAnswer { origin, ids: vec![TokenId(1)] }
    }

    fn block(number: usize, owner: Option<Origin>) -> Stored {
        let tokens = [TokenId(7); BLOCK_TOKENS];
        Stored { name: name(number), parent: None, owner, tokens, payload: Vec::new() }
    }

    fn load(fetch: u64) -> Load {
        Load { fetch, names: Vec::new(), stop: StopFlag::new() }
    }

    fn take_all(commands: &Commands) -> Vec<Command> {
        commands.close();
        std::iter::from_fn(|| commands.take()).collect()
    }

    #[test]
    fn what_nobody_takes_has_a_limit_and_forgets_are_taken_first() {
        let commands = Commands::default();
        for number in 0..100_000_usize {
            commands.touch(name(number));
            commands.keep(answer(of(9, 9)));
            commands.load(load(number as u64));
            commands.forget(of(number as u64 % 10, number as u64));
        }
        assert!(commands.len() <= MAX_COMMANDS);
        let taken = take_all(&commands);
        let Command::Forget(forgets) = &taken[0] else { panic!("found {:?}", taken[0]) };
        assert!((0..100_000).all(|number| forgets.covers(&of(number % 10, number))));
        assert!(!forgets.covers(&of(10, 0)), "another tenant");
        let Command::Touch(touched) = &taken[1] else { panic!("found {:?}", taken[1]) };
        assert_eq!(touched.len(), MAX_TOUCHES);
        assert!(touched.iter().enumerate().all(|(number, touched)| *touched == name(number)));
        let loads = taken.iter().filter(|command| matches!(command, Command::Load(_))).count();
        assert_eq!(loads, MAX_LOADS);
    }

    #[test]
    fn too_many_tenants_to_forget_become_everyone() {
        let mut forgets = ForgetSet::default();
        (0..MAX_FORGETS as u64).for_each(|tenant| forgets.add(of(tenant, 1)));
        assert!(!forgets.covers(&of(0, 2)), "only one conversation of it");
        (0..=MAX_FORGETS as u64).for_each(|tenant| forgets.add(of(tenant, 1)));
        assert!(forgets.covers(&of(u64::MAX, 7)));
        assert!(forgets.origins.is_empty());
    }

    #[test]
    fn what_was_to_be_written_before_it_was_forgotten_is_not_written_afterwards() {
        let commands = Commands::default();
        let (gone, kept) = (of(1, 1), of(1, 2));
        for (number, owner) in [Some(gone), Some(kept), None].into_iter().enumerate() {
            commands.save(block(number, owner));
        }
        commands.keep(answer(gone));
        commands.keep(answer(kept));
        assert_eq!(commands.forget(gone), [name(0)]);
        commands.save(block(3, Some(gone)));
        let saved = |command: &Command| match command {
            Command::Save(block) => Some(block.name),
            _ => None,
        };
        let taken = take_all(&commands);
        let names: Vec<BlockName> = taken.iter().filter_map(saved).collect();
        assert_eq!(names, [name(1), name(2), name(3)], "the last came after it");
        let is_answer = |command: &Command| matches!(command, Command::Keep(_));
        assert_eq!(taken.iter().filter(|command| is_answer(command)).count(), 1);
    }

    #[test]
    fn a_use_is_noted_once_and_again_after_it_was_taken() {
        let commands = Commands::default();
        [1, 2, 1].into_iter().for_each(|number| commands.touch(name(number)));
        let is_of = |taken: Option<Command>, names: &[BlockName]| match taken {
            Some(Command::Touch(touched)) => touched == names,
            _ => false,
        };
        assert!(is_of(commands.take(), &[name(1), name(2)]));
        commands.touch(name(1));
        assert!(is_of(commands.take(), &[name(1)]));
    }

    #[test]
    fn a_waiting_thread_is_woken_by_what_is_sent_and_by_the_end() {
        let commands = std::sync::Arc::new(Commands::default());
        let thread = std::thread::spawn({
            let commands = commands.clone();
            move || std::iter::from_fn(|| commands.take()).count()
        });
        commands.touch(name(1));
        assert!(commands.load(load(1)));
        commands.close();
        assert_eq!(thread.join().expect("it does not break"), 2);
        assert!(commands.wait_until_closed(Duration::from_secs(600)));
    }
}
