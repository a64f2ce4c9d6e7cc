import { beforeEach, describe, expect, it } from 'vitest';
import { Changes, type Reply } from '../src/list/changes';
import type { Conversation, ConversationPatch } from '../src/wire';
import { conversation } from './fixtures';

const START = conversation({ id: 'c', title: 'Old', pinned: false });

let sent: { patch: ConversationPatch; reply: (reply: Reply) => void }[];
let shown: Conversation;
let refused: number;
let unanswered: number;
let settled: number;
let changes: Changes;

beforeEach(() => {
  sent = [];
  shown = START;
  refused = 0;
  unanswered = 0;
  settled = 0;
  changes = new Changes({
    send: (_, patch) => new Promise((reply) => sent.push({ patch, reply })),
    show: (summary) => (shown = summary),
    unanswered: () => (unanswered += 1),
    settled: () => (settled += 1),
    refused: () => (refused += 1),
  });
});

/** The server replies to the latest request. */
async function reply(how: Reply): Promise<void> {
  sent.at(-1)!.reply(how);
  await new Promise((resolve) => setImmediate(resolve));
}

const patches = () => sent.map(({ patch }) => patch);

describe('changes of a conversation', () => {
  it('are shown at once, and go one after the other', async () => {
    void changes.change(START, { title: 'A' });
    void changes.change(shown, { title: 'B' });
    void changes.change(shown, { title: 'C', pinned: true });
    expect([shown.title, shown.pinned]).toEqual(['C', true]);
    expect(patches()).toEqual([{ title: 'A' }]);
    await reply('changed');
    expect(patches()).toEqual([{ title: 'A' }, { title: 'C', pinned: true }]);
    expect([settled, changes.isPending('c')]).toEqual([0, true]);
    await reply('changed');
    expect([sent.length, shown.title]).toEqual([2, 'C']);
    expect([settled, changes.isPending('c')]).toEqual([1, false]);
  });

  it('stand above what the server tells meanwhile', async () => {
    void changes.change(START, { title: 'A' });
    void changes.change(shown, { title: 'B' });
    const echo = changes.over({ ...START, title: 'A', archived: true });
    expect([echo.title, echo.archived]).toEqual(['B', true]);
    await reply('changed');
    await reply('changed');
    expect([shown.title, shown.archived]).toEqual(['B', true]);
    expect(changes.over({ ...START, title: 'D' }).title).toBe('D');
  });

  it('are taken back when the server refuses them', async () => {
    void changes.change(START, { title: 'A' });
    void changes.change(shown, { pinned: true });
    await reply('refused');
    expect([refused, shown.title, shown.pinned]).toEqual([1, 'Old', true]);
    await reply('changed');
    expect([refused, shown.title, shown.pinned]).toEqual([1, 'Old', true]);
  });

  it('wait for the connection, and the last word counts', async () => {
    void changes.change(START, { title: 'A', pinned: true });
    await reply('no answer');
    void changes.change(shown, { title: 'B' });
    await reply('no answer');
    expect([unanswered, shown.title]).toEqual([2, 'B']);
    void changes.connected();
    void changes.connected();
    expect(patches().slice(2)).toEqual([{ title: 'B', pinned: true }]);
    await reply('changed');
    expect([sent.length, refused]).toEqual([3, 0]);
  });

  it('of a conversation that is deleted are forgotten', async () => {
    void changes.change(START, { title: 'A' });
    changes.forget('c');
    await reply('refused');
    expect(refused).toBe(0);
  });

  it('leave the current branch to the server', () => {
    void changes.change(START, { leaf: 'm2' });
    expect(shown.leaf).toBe(START.leaf);
    expect(patches()).toEqual([{ leaf: 'm2' }]);
  });

  it('can take everything away', () => {
    void changes.change(START, { title: null, parameters: null });
    expect([shown.title, shown.parameters]).toEqual([null, {}]);
  });
});
