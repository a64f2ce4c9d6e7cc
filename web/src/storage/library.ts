/**
 * The conversation as this browser keeps it: one entry for each turn, and a small one that says
 * which turns are on the shelf. So two windows that write at the same time never overwrite each
 * other's turns, and an answer that grows costs no more than its own turn each time.
 *
 *     banter.turn.OWNER.ID     a question and its answer
 *     banter.thread.OWNER      what is on the shelf, and where the model begins to read
 *
 * The owner is the person who signed in: nobody sees what another person asked.
 *
 * Where there is no room for all, the conversation goes first. Removals are given up for it, the
 * oldest first, if that makes it fit; if not, they stay. What is not stored stays in memory until
 * the page ends, so that another window's changes do not take it off the page.
 */

import type { Conversation } from '../conversation/reduce';
import { byId, isOfUse } from '../conversation/shelf';
import type { Cut, Removal, RemovalKind } from '../conversation/types';
import { Revertible } from './revertible';
import { asNumber, isRecord, keep, parseRecord, readRecord, type Store } from './store';
import { asMessage, byQuestion, type Turn, turnFromJson, turnsOf, turnToJson } from './turns';
import {
  NOTHING_UNSTORED,
  shelfWithUnstored,
  type Unstored,
  withoutTurn,
  withUnstored,
} from './unstored';

/** Before owners were told apart there was one conversation, in one entry. */
const OLD_KEY = 'banter.conversation';
const VERSION = 2;
/** No browser keeps more characters for a page; writing them only to be refused takes long. */
const MOST_CHARACTERS = 5 * 2 ** 20;

/** A removal with the ids of its turns in place of the turns. */
interface ShelvedTurns {
  readonly id: number;
  readonly kind: RemovalKind;
  readonly from: number;
  readonly cut: Cut | null;
  readonly turns: readonly number[];
}

interface Index {
  readonly shelf: readonly ShelvedTurns[];
  readonly cut: Cut | null;
}

export class Library {
  private turns = new Map<number, Turn>();
  private index: Index = { shelf: [], cut: null };
  private indexJson: string | null = null;
  /** What the page has and the store has not. */
  private unstored: Unstored = NOTHING_UNSTORED;
  /** Removals that made room for the conversation; they are not stored again. */
  private givenUp = new Set<number>();
  /** A conversation of this many characters did not fit, although all removals made room for it. */
  private hopelessLength = Infinity;

  private readonly store: Revertible | null;

  constructor(
    private readonly raw: Store | null,
    readonly owner: string,
    /** Differs between the windows that are open. */
    private readonly window: string,
  ) {
    this.store = raw && new Revertible(raw);
  }

  /** All that is kept. */
  load(): Conversation {
    this.turns.clear();
    for (const key of this.keys()) {
      const turn = turnFromJson(this.store?.getItem(key) ?? null, this.window);
      if (turn) this.turns.set(turn.question.id, turn);
    }
    this.takeIndex(this.store?.getItem(this.indexKey) ?? null);
    return this.conversation();
  }

  /** Saves what has changed. Returns whether all messages are stored; removals may not be. */
  save(conversation: Conversation): boolean {
    const { messages, shelf } = conversation;
    // What has come back, even if it was removed once more, is stored as anything else.
    for (const id of this.givenUp)
      if (!shelf.some((removal) => removal.id === id && removal.messages.length > 0))
        this.givenUp.delete(id);
    const wanted = without(conversation, this.givenUp);
    const fits = this.write(wanted) || this.makeRoom(wanted);
    this.unstored = this.missing(conversation);
    return fits && turnsOf(messages).every((turn) => this.isStored(turn));
  }

  /** Takes over what another window saved. Returns the conversation if it is this one. */
  take(key: string | null, json: string | null): Conversation | null {
    // Without a key, all was removed.
    if (key === null) {
      this.unstored = NOTHING_UNSTORED;
      return this.load();
    }
    // Another window may have made room.
    this.hopelessLength = Infinity;
    if (key === this.indexKey) this.takeIndex(json);
    else if (key.startsWith(this.turnPrefix)) this.takeTurn(key, json);
    else return null;
    return this.conversation();
  }

  /** Moves everything to another owner, when the same person has signed in again. */
  moveTo(owner: string): Library {
    const moved = new Library(this.raw, owner, this.window);
    if (owner === this.owner) return moved;
    const before = moved.load();
    const { messages, shelf, cut } = this.load();
    const merged = {
      messages: [...before.messages, ...messages].sort(byId),
      shelf: [...before.shelf, ...shelf].sort(byId),
      cut: cut ?? before.cut,
    };
    moved.givenUp = new Set(this.givenUp);
    const fits = moved.write(without(merged, moved.givenUp));
    moved.unstored = moved.missing(merged);
    // The old entries are removed only if all of them were saved under the new name.
    if (fits && [...this.turns.keys()].every((id) => moved.turns.has(id))) {
      for (const key of [...this.keys(), this.indexKey]) this.store?.removeItem(key);
    }
    return moved;
  }

  /** Takes over the conversation of a page from before owners were told apart. */
  takeOld(): void {
    const saved = readRecord(this.store, OLD_KEY);
    const list = Array.isArray(saved?.messages) ? saved.messages : [];
    const turns = list.flatMap((value: unknown, at: number) => {
      const question = asMessage(value, 'user');
      const answer = asMessage(list[at + 1], 'assistant');
      if (!question || !answer) return [];
      const isWhole = answer.outcome.kind !== 'writing';
      return [{ question, answer: isWhole ? answer : { ...answer, outcome: INTERRUPTED } }];
    });
    for (const turn of turns) this.saveTurn(turn);
    if (saved) this.store?.removeItem(OLD_KEY);
  }

  private get turnPrefix(): string {
    return `banter.turn.${this.owner}.`;
  }

  private get indexKey(): string {
    return `banter.thread.${this.owner}`;
  }

  private keys(): string[] {
    const { store } = this;
    const all = Array.from({ length: store?.length ?? 0 }, (_, at) => store?.key(at) ?? '');
    return all.filter((key) => key.startsWith(this.turnPrefix));
  }

  /** Returns whether all messages are stored that the store can hold, and the index. */
  private write({ messages, shelf, cut }: Conversation): boolean {
    const removed = shelf.map((removal) => ({ ...removal, turns: turnsOf(removal.messages) }));
    const standing = turnsOf(messages);
    // The newest removals first: they are wanted most.
    const shelved = removed.toReversed().flatMap(({ turns }) => turns);
    const ids = new Set([...standing, ...shelved].map(({ question }) => question.id));
    for (const id of [...this.turns.keys()]) if (!ids.has(id)) this.remove(id);
    const index: Index = {
      shelf: removed.map(({ id, kind, from, cut, turns }) => ({
        id,
        kind,
        from,
        cut,
        turns: turns.map(({ question }) => question.id),
      })),
      cut,
    };
    // The shelf first: without it, a shelved turn would be back in the conversation.
    const isIndexed = this.saveIndex(index);
    for (const turn of [...standing, ...shelved]) this.saveTurn(turn);
    return isIndexed && standing.every((turn) => isTooLong(turn) || this.isStored(turn));
  }

  /**
   * Gives up as many removals as the messages need, the oldest first. If even all of them are not
   * enough, all stay. Returns whether they were enough.
   */
  private makeRoom(conversation: Conversation): boolean {
    const { messages, shelf } = conversation;
    const length = turnsOf(messages).reduce((sum, turn) => sum + lengthOf(turn), 0);
    const holders = shelf.filter((removal) => this.holdsRoom(removal)).map(({ id }) => id);
    if (!this.store || holders.length === 0 || length >= this.hopelessLength) return false;
    const before = { turns: new Map(this.turns), index: this.index, indexJson: this.indexJson };
    const isEnough = this.store.try(() =>
      holders.some((_, at) => {
        const given = new Set(holders.slice(0, at + 1));
        if (!this.write(without(conversation, given))) return false;
        for (const id of given) this.givenUp.add(id);
        return true;
      }),
    );
    if (!isEnough) {
      Object.assign(this, before);
      this.hopelessLength = length;
    }
    return isEnough;
  }

  private holdsRoom({ messages }: Removal): boolean {
    return turnsOf(messages).some(({ question }) => this.turns.has(question.id));
  }

  private missing({ messages, shelf }: Conversation): Unstored {
    const isMissing = (turn: Turn) => !this.isStored(turn);
    return {
      turns: byQuestion(turnsOf(messages).filter(isMissing)),
      removals: shelf.filter((removal) => turnsOf(removal.messages).some(isMissing)),
    };
  }

  private isStored({ question, answer }: Turn): boolean {
    const known = this.turns.get(question.id);
    return known?.question === question && known.answer === answer;
  }

  private saveTurn(turn: Turn): void {
    const { id } = turn.question;
    if (this.isStored(turn) || isTooLong(turn)) return;
    const kept = keep(this.store, this.turnPrefix + id, turnToJson(turn, this.window));
    if (kept) this.turns.set(id, turn);
  }

  private saveIndex(index: Index): boolean {
    const json = JSON.stringify({ version: VERSION, ...index });
    this.index = index;
    if (json === this.indexJson) return true;
    const kept = keep(this.store, this.indexKey, json);
    if (kept) this.indexJson = json;
    return kept;
  }

  private remove(id: number): void {
    this.turns.delete(id);
    this.store?.removeItem(this.turnPrefix + id);
  }

  private takeTurn(key: string, json: string | null): void {
    const turn = turnFromJson(json, this.window);
    if (turn) {
      this.turns.set(turn.question.id, turn);
      this.unstored = withoutTurn(this.unstored, turn);
    } else if (json === null) this.turns.delete(Number(key.slice(this.turnPrefix.length)));
  }

  private takeIndex(json: string | null): void {
    this.indexJson = json;
    const saved = parseRecord(json);
    const shelf = saved?.version === VERSION && Array.isArray(saved.shelf) ? saved.shelf : [];
    this.index = {
      shelf: shelf.map(asShelved).filter((removal) => removal !== null),
      cut: asCut(saved?.cut),
    };
  }

  private conversation(): Conversation {
    const all = withUnstored(this.turns, this.unstored);
    const rest = new Map(all);
    const messagesOf = (ids: readonly number[]) =>
      ids.flatMap((id) => {
        const turn = rest.get(id);
        rest.delete(id);
        return turn ? [turn.question, turn.answer] : [];
      });
    const stored: Removal[] = this.index.shelf.map(({ turns, ...removal }) => ({
      ...removal,
      messages: messagesOf(turns),
    }));
    const shelf = shelfWithUnstored(stored, this.unstored, all).filter(isOfUse).sort(byId);
    const turns = [...rest.values()].sort((a, b) => byId(a.question, b.question));
    const messages = turns.flatMap(({ question, answer }) => [question, answer]);
    return { messages, shelf, cut: this.index.cut };
  }
}

function without(conversation: Conversation, removals: ReadonlySet<number>): Conversation {
  return { ...conversation, shelf: conversation.shelf.filter(({ id }) => !removals.has(id)) };
}

function lengthOf({ question, answer }: Turn): number {
  return question.text.length + answer.text.length;
}

function isTooLong(turn: Turn): boolean {
  return lengthOf(turn) > MOST_CHARACTERS;
}

const INTERRUPTED = { kind: 'interrupted' } as const;

const REMOVAL_KINDS = ['cleared', 'replaced', 'clear_undone', 'undone'] as const;

function asShelved(value: unknown): ShelvedTurns | null {
  if (!isRecord(value) || !Array.isArray(value.turns)) return null;
  const id = asNumber(value.id);
  const kind = REMOVAL_KINDS.find((known) => known === value.kind);
  const turns = value.turns.map(asNumber).filter((turn) => turn !== null);
  if (id === null || kind === undefined) return null;
  // An older page kept the id of the message before the other version instead, and no cut.
  const from = asNumber(value.from) ?? (asNumber(value.after) ?? 0) + 1;
  return { id, kind, from, cut: asCut(value.cut), turns };
}

function asCut(value: unknown): Cut | null {
  if (!isRecord(value)) return null;
  const droppedCount = asNumber(value.droppedCount);
  const firstKeptId = asNumber(value.firstKeptId);
  return droppedCount === null || firstKeptId === null ? null : { droppedCount, firstKeptId };
}
