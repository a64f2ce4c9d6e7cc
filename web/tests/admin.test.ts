import { describe, expect, it } from 'vitest';
import { doingOf, duration, figure, percent, stateOf } from '../src/admin/figures';
import { ADMIN_WORDS } from '../src/admin/words';
import type { ServerView } from '../src/wire';

const words = ADMIN_WORDS.en;

function view(part: Partial<ServerView> = {}): ServerView {
  const figures = [
    { name: 'banter_cache_blocks', label: 'used', value: 3 },
    { name: 'banter_steps', label: null, value: 0 },
  ];
  const state = { status: 'ready' } as const;
  return {
    version: '1.0.0',
    running_for: 1,
    state,
    model: null,
    answers: [],
    figures,
    ...part,
  };
}

describe('the page for administrators', () => {
  it('finds a figure by name and label', () => {
    expect(figure(view(), 'banter_cache_blocks', 'used')).toBe(3);
    expect(figure(view(), 'banter_cache_blocks', 'free')).toBeNull();
    expect(figure(view(), 'banter_steps')).toBe(0);
  });

  it('has no percentage of nothing', () => {
    expect(percent(0, 0)).toBeNull();
    expect(percent(1, 3)).toBe(33);
  });

  it('writes times in two units', () => {
    const times = [0.4, 59.9, 60, 3599, 3600, 86_399, 86_400, 200_000].map(duration);
    const expected = ['0 s', '59 s', '1 min 00 s', '59 min 59 s', '1 h 00 min', '23 h 59 min'];
    expect(times).toEqual([...expected, '1 d 00 h', '2 d 07 h']);
  });

  it('says what the server and each answer do', () => {
    const states = [
      [{ status: 'ready' }, 'ready'],
      [{ status: 'loading', progress: 0.256 }, 'loading the model, 26 %'],
      [{ status: 'stalled' }, 'the engine stands still'],
      [{ status: 'unreachable' }, 'the engine cannot be reached'],
    ] as const;
    for (const [state, said] of states) expect(stateOf(view({ state }), words)).toBe(said);
    const doings = [
      [{ what: 'waiting', ahead: null }, 'waits'],
      [{ what: 'waiting', ahead: 0 }, 'waits'],
      [{ what: 'waiting', ahead: 2 }, 'waits behind 2'],
      [{ what: 'reading', done: 1, total: 4 }, 'reads, 25 %'],
      [{ what: 'reading', done: 0, total: 0 }, 'reads, 0 %'],
      [{ what: 'writing' }, 'writes'],
      [{ what: 'stopping' }, 'stops'],
    ] as const;
    for (const [doing, said] of doings) expect(doingOf(doing, words)).toBe(said);
  });

  it('has every word in both languages', () => {
    const empty = Object.entries(ADMIN_WORDS.zh).filter(
      ([name, said]) => said === '' && name !== 'codeRefused',
    );
    expect(empty).toEqual([]);
  });
});
