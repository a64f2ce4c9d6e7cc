import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Drafts, NEW } from '../src/storage/drafts.svelte';
import { loadPreferences } from '../src/storage/preferences';
import { MOST_PRESETS, Presets } from '../src/storage/presets.svelte';
import { NO_SETTINGS, readSettings, withNumber } from '../src/storage/settings';
import { loadUser, removeTraces, saveUser } from '../src/storage/user';
import { FakeStore } from './fake_store';

let store: FakeStore;

beforeEach(() => {
  store = new FakeStore();
  vi.useFakeTimers();
  vi.stubGlobal('window', { setTimeout, clearTimeout });
});

describe('drafts', () => {
  it('are kept per conversation and survive a reload', () => {
    const drafts = new Drafts(store, null, 'u');
    drafts.write('for a new one');
    drafts.show('c1');
    expect(drafts.message).toBe('');
    drafts.write('for c1');
    drafts.edit('m1', 'changed');
    drafts.flush();
    const later = new Drafts(store, null, 'u');
    expect(later.message).toBe('for a new one');
    later.show('c1');
    expect([later.message, later.edits]).toEqual([
      'for c1',
      { m1: { text: 'changed', leftOut: [] } },
    ]);
    later.leaveOut('m1', 2);
    later.edit('m1', 'changed again');
    expect(later.edits).toEqual({ m1: { text: 'changed again', leftOut: [2] } });
    later.endEdit('m1');
    expect(later.edits).toEqual({});
  });

  it('are saved soon after a key, and leave nothing behind when they are sent', () => {
    const drafts = new Drafts(store, null, 'u');
    drafts.write('a');
    expect(store.length).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(store.length).toBe(1);
    drafts.write('');
    vi.advanceTimersByTime(1_000);
    expect(store.length).toBe(0);
  });

  it('move to the conversation that was made of them', () => {
    const drafts = new Drafts(store, null, 'u');
    drafts.changeSettings({ system: 'Be brief.', parameters: {} });
    drafts.write('typed meanwhile');
    drafts.moveTo('c1');
    drafts.flush();
    expect([drafts.message, drafts.settings]).toEqual(['typed meanwhile', NO_SETTINGS]);
    drafts.show(NEW);
    expect([drafts.message, drafts.settings]).toEqual(['', NO_SETTINGS]);
  });

  it('belong to a person', () => {
    const drafts = new Drafts(store, null, 'u');
    drafts.write('secret');
    drafts.changeUser('v');
    expect(drafts.message).toBe('');
    drafts.changeUser('u');
    expect(drafts.message).toBe('secret');
  });

  it('typed before the server told who is there belong to the person who is there', () => {
    const drafts = new Drafts(store, null, 'unknown');
    drafts.write('early');
    drafts.changeUser('u');
    expect(drafts.message).toBe('early');
  });

  it('are taken over from another tab, unless something is being written here', () => {
    const drafts = new Drafts(store, null, 'u');
    const change = (message: string) =>
      ({ key: 'banter.drafts.u.new', newValue: JSON.stringify({ message }) }) as StorageEvent;
    drafts.storageChanged(change('there'));
    expect(drafts.message).toBe('there');
    drafts.write('here');
    vi.advanceTimersByTime(1_000);
    drafts.storageChanged(change('there again'));
    expect(drafts.message).toBe('here');
    drafts.write('');
    drafts.storageChanged(change('there at last'));
    expect(drafts.message).toBe('there at last');
  });

  it('of one tab outlive what another tab sends, and a reload', () => {
    const ownStore = new FakeStore();
    const drafts = new Drafts(store, ownStore, 'u');
    drafts.write('here');
    drafts.flush();
    // The other tab wrote in the same place, and has sent it.
    const key = 'banter.drafts.u.new';
    store.setItem(key, JSON.stringify({ message: 'there' }));
    expect(new Drafts(store, ownStore, 'u').message).toBe('here');
    store.removeItem(key);
    drafts.storageChanged({ key, newValue: null } as StorageEvent);
    expect(drafts.message).toBe('here');
    vi.advanceTimersByTime(1_000);
    expect(store.getItem(key)).toContain('here');
    drafts.write('');
    drafts.flush();
    expect([store.length, ownStore.length]).toEqual([0, 0]);
  });

  it('of a deleted conversation are kept nowhere', () => {
    const drafts = new Drafts(store, null, 'u');
    drafts.show('c1');
    drafts.write('one');
    drafts.show('c2');
    drafts.write('two');
    drafts.flush();
    drafts.forget('c1');
    drafts.forget('c2');
    expect(drafts.message).toBe('two');
    drafts.show(NEW);
    expect(store.length).toBe(0);
  });

  it('leave nothing behind when the person signs out', () => {
    const drafts = new Drafts(store, new FakeStore(), 'u');
    drafts.write('secret');
    drafts.abandon();
    vi.advanceTimersByTime(1_000);
    expect([drafts.message, store.length]).toEqual(['', 0]);
  });

  it('that cannot be kept are there until the page is closed', () => {
    store.room = 3;
    const drafts = new Drafts(store, null, 'u');
    drafts.write('a long text');
    drafts.flush();
    expect([drafts.message, drafts.isKept]).toEqual(['a long text', false]);
    drafts.write('');
    drafts.flush();
    expect(drafts.isKept).toBe(true);
  });
});

describe('settings', () => {
  it('are read as far as they are understood', () => {
    const parameters = { temperature: 0.5, top_p: 'much', seed: null, unknown: 1 };
    expect(readSettings({ system: 'Be brief.', parameters })).toEqual({
      system: 'Be brief.',
      parameters: { temperature: 0.5 },
    });
    for (const nothing of [null, 'text', {}, { system: 3 }, { parameters: [] }])
      expect(readSettings(nothing)).toBe(NO_SETTINGS);
  });

  it('lose a parameter that is set back to the default', () => {
    const changed = withNumber(NO_SETTINGS, 'temperature', 1.2);
    expect(changed.parameters).toEqual({ temperature: 1.2 });
    expect(withNumber(changed, 'temperature', null).parameters).toEqual({});
  });

  it('have names, one of each', () => {
    const presets = new Presets(store, 'u');
    const brief = { system: 'Be brief.', parameters: {} };
    presets.put('b', NO_SETTINGS);
    presets.put('a', NO_SETTINGS);
    presets.put('a', brief);
    const later = new Presets(store, 'u');
    expect(later.all.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(later.all[0]?.settings).toEqual(brief);
    later.remove('a');
    expect(later.all.map(({ name }) => name)).toEqual(['b']);
    expect(new Presets(store, 'v').all).toEqual([]);
    store.items.set('banter.presets.u', '{"no":"list"}');
    expect(new Presets(store, 'u').all).toEqual([]);
  });

  it('are refused a name when there are too many, and none is lost', () => {
    const presets = new Presets(store, 'u');
    const names = Array.from({ length: MOST_PRESETS }, (_, at) => String(100 + at));
    for (const name of names.toReversed()) expect(presets.put(name, NO_SETTINGS)).toBe(true);
    expect(presets.put('another', NO_SETTINGS)).toBe(false);
    expect(presets.all.map(({ name }) => name)).toEqual(names);
    // One that is there can be changed.
    expect(presets.put('100', { system: 'Be brief.', parameters: {} })).toBe(true);
    presets.remove('149');
    expect(presets.put('another', NO_SETTINGS)).toBe(true);
    expect(presets.all).toHaveLength(MOST_PRESETS);
  });
});

describe('preferences', () => {
  it('have their defaults where nothing sensible is kept', () => {
    const defaults = loadPreferences(null);
    expect(defaults).toMatchObject({ theme: 'auto', language: 'auto', preparesWhileTyping: true });
    store.items.set('banter.preferences', '{"theme":"pink","notifies":"yes"}');
    expect(loadPreferences(store)).toEqual(defaults);
    store.items.set('banter.preferences', '{"theme":"dark","preparesWhileTyping":false}');
    expect(loadPreferences(store)).toMatchObject({ theme: 'dark', preparesWhileTyping: false });
  });
});

describe('somebody who signs out', () => {
  it('leaves nothing behind but how the page looks', () => {
    expect(loadUser(store)).toBe('unknown');
    saveUser(store, 'u');
    for (const key of ['drafts.u.c1', 'outbox.u.1', 'presets.u', 'preferences'])
      store.items.set(`banter.${key}`, '{}');
    store.items.set('of another page', 'x');
    removeTraces(store);
    expect([...store.items.keys()].sort()).toEqual(['banter.preferences', 'of another page']);
  });
});
