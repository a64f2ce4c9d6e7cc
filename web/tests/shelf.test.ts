import { describe, expect, it } from 'vitest';
import { type Asked, type Event, reduce } from '../src/conversation/reduce';
import { redoable, undoable } from '../src/conversation/shelf';
import { EMPTY_STATE, type State } from '../src/conversation/state';

const FAULT: Event = { kind: 'fault', fault: { code: 'busy', message: '' } };
const ENDED: Event = { kind: 'ended', nowMs: 3_000 };
const LOST: Event = { kind: 'lost', nowMs: 3_000 };
const STOP: Event = { kind: 'stop_sent' };
const UNDO: Event = { kind: 'undo' };
const REDO: Event = { kind: 'redo' };

let nextId = 1;

function ask(state: State, text: string, at: number, purpose: Asked['purpose']): State {
  const [userId, answerId] = [nextId++, nextId++];
  return reduce(state, { kind: 'asked', text, at, purpose, userId, answerId, nowMs: 1_000 });
}

function after(state: State, ...events: Event[]): State {
  return events.reduce(reduce, state);
}

function words(text: string): Event {
  return { kind: 'words', text, nowMs: 2_000 };
}

/** Asks and gets a whole answer. */
function turn(state: State, text: string, answer = `to ${text}`): State {
  return after(ask(state, text, state.messages.length, 'new'), words(answer), ENDED);
}

function again(state: State, at: number): State {
  return ask(state, state.messages[at]!.text, at, 'again');
}

function clear(state: State): State {
  return reduce(state, { kind: 'cleared', id: nextId++ });
}

function texts({ messages }: State): string {
  return messages.map(({ text }) => text).join(' ');
}

const THREE = ['q1', 'q2', 'q3'].reduce((state, text) => turn(state, text), EMPTY_STATE);
const ALL = 'q1 to q1 q2 to q2 q3 to q3';

describe('another answer', () => {
  it('to an earlier question keeps what came after it', () => {
    const state = after(again(THREE, 0), words('other'), ENDED);
    expect(texts(state)).toBe('q1 other');
    expect(texts(after(state, UNDO))).toBe(ALL);
  });

  it('and Undo can be done once more, back and forth', () => {
    const state = after(again(THREE, 2), words('other'), ENDED);
    const undone = after(state, UNDO);
    expect([texts(undone), undoable(undone)]).toEqual([ALL, null]);
    const redone = after(undone, REDO);
    expect([texts(redone), redoable(redone)]).toEqual(['q1 to q1 q2 other', null]);
    expect(texts(after(redone, UNDO))).toBe(ALL);
  });

  it('and Undo, after further questions, loses none of them', () => {
    const state = turn(after(again(THREE, 0), words('other'), ENDED), 'q4');
    const undone = after(state, UNDO);
    expect(texts(undone)).toBe(ALL);
    expect(texts(after(undone, REDO))).toBe('q1 other q4 to q4');
  });

  const inVain: [string, Event[]][] = [
    ['is stopped before the first word', [STOP, ENDED]],
    ['fails', [FAULT, ENDED]],
    ['fails after some words', [words('half'), FAULT, ENDED]],
    ['is lost before the first word', [LOST]],
    ['is empty', [ENDED]],
    ['only thinks', [{ kind: 'thinking', text: 'so', nowMs: 2_000 }, ENDED]],
  ];
  for (const [how, events] of inVain) {
    it(`that ${how} leaves all as it was, and says why`, () => {
      const state = after(again(THREE, 2), ...events);
      expect(texts(state)).toBe(ALL);
      expect(state.messages.map(({ id }) => id)).toEqual(THREE.messages.map(({ id }) => id));
      expect(state.attempt?.messageId).toBe(THREE.messages[3]!.id);
      expect(undoable(state)).toBeNull();
    });
  }

  it('that fails after some words keeps them for Redo', () => {
    const state = after(again(THREE, 4), words('half'), FAULT, ENDED, REDO);
    expect(texts(state)).toBe('q1 to q1 q2 to q2 q3 half');
  });

  it('that is stopped after some words stands, and the one before it is kept', () => {
    const state = after(again(THREE, 4), words('half'), STOP, ENDED);
    expect(texts(state)).toBe('q1 to q1 q2 to q2 q3 half');
    expect(texts(after(state, UNDO))).toBe(ALL);
  });

  it('to a question that got none keeps nothing of the failure', () => {
    const failed = after(ask(THREE, 'q4', 6, 'new'), FAULT, ENDED);
    const state = after(again(failed, 6), FAULT, ENDED);
    expect([texts(state), state.shelf.length]).toEqual([`${ALL} q4 `, 0]);
    expect(state.messages.at(-1)?.outcome.kind).toBe('failed');
  });
});

describe('an edit', () => {
  it('keeps what it replaces', () => {
    const state = after(ask(THREE, 'Q2', 2, 'new'), words('other'), ENDED);
    expect(texts(state)).toBe('q1 to q1 Q2 other');
    expect(texts(after(state, UNDO))).toBe(ALL);
  });

  it('that fails stays, because it was written', () => {
    const state = after(ask(THREE, 'Q2', 2, 'new'), FAULT, ENDED);
    expect(texts(state)).toBe('q1 to q1 Q2 ');
    expect(texts(after(state, UNDO))).toBe(ALL);
  });
});

describe('Clear', () => {
  it('can be undone at once', () => {
    const state = clear(THREE);
    expect(texts(state)).toBe('');
    expect(texts(after(state, UNDO))).toBe(ALL);
  });

  it('can be undone after new questions, which stay', () => {
    const state = turn(turn(clear(THREE), 'q4'), 'q5');
    expect(texts(after(state, UNDO))).toBe(`${ALL} q4 to q4 q5 to q5`);
  });

  it('can be undone after a failed question', () => {
    const state = after(ask(clear(THREE), 'q4', 0, 'new'), FAULT, ENDED, UNDO);
    expect(texts(state)).toBe(`${ALL} q4 `);
  });

  it('of nothing leaves nothing to undo', () => {
    expect(clear(EMPTY_STATE).shelf).toEqual([]);
  });
});

describe('several removals', () => {
  it('are undone one after the other, the newest first', () => {
    const other = after(again(THREE, 4), words('other'), ENDED);
    const another = after(again(other, 4), words('another'), ENDED);
    const cleared = clear(another);
    const steps = [UNDO, UNDO, UNDO].map((_, count) =>
      texts(after(cleared, ...Array<Event>(count + 1).fill(UNDO))),
    );
    const without = ALL.slice(0, ALL.lastIndexOf('to q3'));
    expect(steps).toEqual([`${without}another`, `${without}other`, ALL]);
  });

  it('beyond ten let go of the oldest', () => {
    let state = THREE;
    for (let count = 0; count < 15; count += 1)
      state = after(again(state, 4), words(`other${count}`), ENDED);
    expect(state.shelf).toHaveLength(10);
    expect(texts(after(state, UNDO))).toContain('other13');
  });

  it('cannot be undone while an answer is written', () => {
    const state = after(again(THREE, 4), words('half'), UNDO);
    expect(texts(state)).toContain('half');
  });
});

/** Where the model begins to read, if the first two messages no longer reach it. */
const CUT: Event = { kind: 'cut', cut: { droppedCount: 2, firstKeptId: THREE.messages[2]!.id } };
const NO_CUT: Event = { kind: 'cut', cut: null };

describe('the line where the model begins to read', () => {
  const cut = after(THREE, CUT);

  it('is back after Clear and Undo', () => {
    expect(clear(cut).cut).toBeNull();
    expect(after(clear(cut), UNDO).cut).toEqual(cut.cut);
  });

  it('is back after an edit and Undo, and gone again after Redo', () => {
    const edited = after(ask(cut, 'Q1', 0, 'new'), NO_CUT, words('other'), ENDED);
    expect(after(edited, UNDO).cut).toEqual(cut.cut);
    expect(after(edited, UNDO, REDO).cut).toBeNull();
  });

  it('is back after another answer that failed', () => {
    expect(after(again(cut, 0), NO_CUT, FAULT, ENDED).cut).toEqual(cut.cut);
  });

  it('stays among messages after Clear, above which those that come back do not fit either', () => {
    const two = turn(turn(clear(cut), 'q4'), 'q5');
    const firstKeptId = two.messages[2]!.id;
    const state = after(two, { kind: 'cut', cut: { droppedCount: 2, firstKeptId } });
    expect(after(state, UNDO).cut).toEqual({ droppedCount: 8, firstKeptId });
    expect(after(state, UNDO, REDO).cut).toEqual(state.cut);
  });
});

describe('Redo after several Undos', () => {
  it('does not hide what "Clear" had taken away', () => {
    const state = after(again(turn(clear(THREE), 'q4'), 0), words('other'), ENDED);
    const undone = after(state, UNDO, UNDO);
    expect(texts(undone)).toBe(`${ALL} q4 to q4`);
    expect(texts(after(undone, REDO))).toBe('q4 to q4');
    expect(texts(after(undone, REDO, REDO))).toBe('q4 other');
  });

  it('does each again, in order', () => {
    const other = after(again(THREE, 4), words('other'), ENDED);
    const another = after(again(other, 4), words('another'), ENDED);
    const undone = after(another, UNDO, UNDO);
    expect(texts(undone)).toBe(ALL);
    expect(texts(after(undone, REDO))).toBe(texts(other));
    expect(texts(after(undone, REDO, REDO))).toBe(texts(another));
  });
});

describe('whatever is done', () => {
  const SEQUENCES = 300;
  const STEPS = 25;
  /** Beyond this the oldest removal goes. */
  const MOST_REMOVALS = 10;

  function shown({ messages, cut }: State) {
    return { ids: messages.map(({ id }) => id), cut };
  }

  /** Ids of all messages that Undo and Redo lead to. */
  function reachable(state: State, ...ways: Event[]): Set<number> {
    const ids = new Set(shown(state).ids);
    for (const way of ways)
      for (let at = state, count = 0; count <= MOST_REMOVALS; count += 1) {
        at = reduce(at, way);
        for (const id of shown(at).ids) ids.add(id);
      }
    return ids;
  }

  function step(state: State, random: (count: number) => number): State {
    const turns = state.messages.length / 2;
    const at = 2 * random(turns);
    const ending = [[words('some'), ENDED], [FAULT, ENDED], [words('half'), FAULT, ENDED], [LOST]];
    const cut: Event = random(2)
      ? NO_CUT
      : { kind: 'cut', cut: { droppedCount: 2, firstKeptId: state.messages[at]?.id ?? 1 } };
    const end = [cut, ...ending[random(ending.length)]!];
    const actions: (() => State)[] = [
      () => after(ask(state, `q${nextId}`, 2 * turns, 'new'), ...end),
      () => (turns > 0 ? after(again(state, at), ...end) : state),
      () => (turns > 0 ? after(ask(state, `q${nextId}`, at, 'new'), ...end) : state),
      () => clear(state),
      () => reduce(state, UNDO),
      () => reduce(state, UNDO),
      () => reduce(state, REDO),
      () => reduce(state, REDO),
    ];
    return actions[random(actions.length)]!();
  }

  it("Redo and Undo are each other's inverse, and nothing that they lead to is lost", () => {
    let seed = 1;
    const random = (count: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % Math.max(1, count);
    };
    let undos = 0;
    for (let sequence = 0; sequence < SEQUENCES; sequence += 1) {
      let state = EMPTY_STATE;
      for (let count = 0; count < STEPS && state.shelf.length < MOST_REMOVALS; count += 1) {
        const before = state;
        state = step(state, random);
        const sorted = state.messages.map(({ id }) => id).toSorted((a, b) => a - b);
        expect(shown(state).ids).toEqual(sorted);
        // What was removed before an action can still be brought back after it.
        const now = reachable(state, UNDO, REDO);
        const lost = [...reachable(before, UNDO)].filter((id) => !now.has(id));
        expect(lost.length === 0 || isUnanswered(before, lost)).toBe(true);
        if (undoable(state)) {
          undos += 1;
          expect(shown(after(state, UNDO, REDO))).toEqual(shown(state));
        }
        if (redoable(state)) expect(shown(after(state, REDO, UNDO)).ids).toEqual(shown(state).ids);
      }
    }
    expect(undos).toBeGreaterThan(SEQUENCES);
  });

  /** A question that got no word gives way to the same question, and nothing of it is kept. */
  function isUnanswered({ messages }: State, ids: number[]): boolean {
    const of = messages.filter(({ id }) => ids.includes(id));
    return of.length === ids.length && of.every(({ role, text }) => role === 'user' || text === '');
  }
});

describe('a new question', () => {
  it('ends the offer to clear once more what has come back', () => {
    const back = after(clear(THREE), UNDO);
    expect(redoable(back)).not.toBeNull();
    expect(redoable(turn(back, 'q4'))).toBeNull();
  });

  it('leaves the answer that was undone within reach', () => {
    const undone = after(again(THREE, 0), words('other'), ENDED, UNDO);
    expect(texts(after(turn(undone, 'q4'), REDO))).toBe('q1 other');
  });
});

describe('what is stored', () => {
  it('with another answer that the end of the page broke off brings back the one before it', () => {
    const { messages, shelf } = again(THREE, 4);
    const broken = messages.map((message) =>
      message.outcome.kind === 'writing'
        ? { ...message, outcome: { kind: 'interrupted' as const } }
        : message,
    );
    const restored: Event = { kind: 'restored', messages: broken, shelf, cut: null };
    expect(texts(reduce(EMPTY_STATE, restored))).toBe(ALL);
  });

  it('by another window is taken, but not over the answer that is being written here', () => {
    const state = after(ask(THREE, 'q4', 6, 'new'), words('half'));
    const theirs = turn(THREE, 'q5');
    const { messages, shelf, cut } = theirs;
    const synced = reduce(state, { kind: 'synced', messages, shelf, cut });
    expect(texts(synced)).toBe(`${ALL} q4 half q5 to q5`);
    expect(texts(after(synced, words(' more'), ENDED))).toBe(`${ALL} q4 half more q5 to q5`);
  });

  it('by another window that has cleared all leaves the answer that is being written here', () => {
    const state = after(ask(THREE, 'q4', 6, 'new'), words('half'));
    const { messages, shelf, cut } = clear(state);
    const synced = reduce(state, { kind: 'synced', messages, shelf, cut });
    expect(texts(synced)).toBe('q4 half');
    expect(texts(after(synced, ENDED, UNDO))).toBe(`${ALL} q4 half`);
  });

  it('of a window that is gone is interrupted', () => {
    const elsewhere = THREE.messages.map((message) =>
      message.text === 'to q3' ? { ...message, outcome: { kind: 'elsewhere' as const } } : message,
    );
    const state = { ...THREE, messages: elsewhere };
    const ids = elsewhere.map(({ id }) => id);
    const kinds = reduce(state, { kind: 'orphaned', ids }).messages.map(
      ({ outcome }) => outcome.kind,
    );
    expect(kinds.at(-1)).toBe('interrupted');
    expect(new Set(kinds.slice(0, -1))).toEqual(new Set(['complete']));
  });
});
