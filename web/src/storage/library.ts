/**
 * The conversation as this browser keeps it: one entry for each turn, and a small one that says
 * which turns are on the shelf. So two windows that write at the same time never overwrite each
 * other's turns, and an answer that grows costs no more than its own turn each time.
 *
 *     banter.turn.OWNER.ID     a question and its answer
 *     banter.thread.OWNER      what is on the shelf, and where the model begins to read
 *
 * The owner is the person who signed in: nobody sees what another person asked.
 */

import type { Conversation } from '../conversation/reduce';
import { byId } from '../conversation/shelf';
import type { Cut, Message, Removal, RemovalKind } from '../conversation/types';
import { asNumber, isRecord, keep, parseRecord, readRecord, type Store } from './store';
import { asMessage, type Turn, turnFromJson, turnToJson } from './turns';

/** Before owners were told apart there was one conversation, in one entry. */
const OLD_KEY = 'banter.conversation';
const VERSION = 2;
/** No browser keeps more characters for a page; writing them only to be refused takes long. */
const MOST_CHARACTERS = 5 * 2 ** 20;

/** A removal with the ids of its turns in place of the turns. */
interface ShelvedTurns {
  readonly id: number;
  readonly kind: RemovalKind;
  readonly after: number;
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

  constructor(
    private readonly store: Store | null,
    readonly owner: string,
    /** Differs between the windows that are open. */
    private readonly window: string,
  ) {}

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

  /** Saves what has changed. Returns whether there was room for it. */
  save({ messages, shelf, cut }: Conversation): boolean {
    const removed = shelf.map((removal) => ({ ...removal, turns: turnsOf(removal.messages) }));
    const all = [...turnsOf(messages), ...removed.flatMap(({ turns }) => turns)];
    const ids = new Set(all.map(({ question }) => question.id));
    for (const id of [...this.turns.keys()]) if (!ids.has(id)) this.remove(id);
    const index: Index = {
      shelf: removed.map(({ id, kind, after, turns }) => ({
        id,
        kind,
        after,
        turns: turns.map(({ question }) => question.id),
      })),
      cut,
    };
    // The shelf first: without it, a shelved turn would be back in the conversation.
    const done = [this.saveIndex(index), ...all.map((turn) => this.saveTurn(turn))];
    return this.store !== null && done.every(Boolean);
  }

  /** Takes over what another window saved. Returns the conversation if it is this one. */
  take(key: string | null, json: string | null): Conversation | null {
    // Without a key, all was removed.
    if (key === null) return this.load();
    if (key === this.indexKey) this.takeIndex(json);
    else if (key.startsWith(this.turnPrefix)) this.takeTurn(key, json);
    else return null;
    return this.conversation();
  }

  /** Moves everything to another owner, when the same person has signed in again. */
  moveTo(owner: string): Library {
    const moved = new Library(this.store, owner, this.window);
    if (owner === this.owner) return moved;
    const before = moved.load();
    const { messages, shelf, cut } = this.load();
    const merged = {
      messages: [...before.messages, ...messages].sort(byId),
      shelf: [...before.shelf, ...shelf],
      cut: cut ?? before.cut,
    };
    // The old entries are removed only if all of them were saved under the new name.
    if (moved.save(merged)) {
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

  private saveTurn(turn: Turn): boolean {
    const { id } = turn.question;
    const known = this.turns.get(id);
    if (known?.question === turn.question && known.answer === turn.answer) return true;
    if (turn.question.text.length + turn.answer.text.length > MOST_CHARACTERS) return false;
    const kept = keep(this.store, this.turnPrefix + id, turnToJson(turn, this.window));
    if (kept) this.turns.set(id, turn);
    return kept;
  }

  private saveIndex(index: Index): boolean {
    const json = JSON.stringify({ version: VERSION, ...index });
    this.index = index;
    if (json === this.indexJson) return true;
    this.indexJson = json;
    return keep(this.store, this.indexKey, json);
  }

  private remove(id: number): void {
    this.turns.delete(id);
    this.store?.removeItem(this.turnPrefix + id);
  }

  private takeTurn(key: string, json: string | null): void {
    const turn = turnFromJson(json, this.window);
    if (turn) this.turns.set(turn.question.id, turn);
    else if (json === null) this.turns.delete(Number(key.slice(this.turnPrefix.length)));
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
    const rest = new Map(this.turns);
    const messagesOf = (ids: readonly number[]) =>
      ids.flatMap((id) => {
        const turn = rest.get(id);
        rest.delete(id);
        return turn ? [turn.question, turn.answer] : [];
      });
    const shelf: Removal[] = this.index.shelf
      .map(({ turns, ...removal }) => ({ ...removal, messages: messagesOf(turns) }))
      .filter(({ messages }) => messages.length > 0);
    const turns = [...rest.values()].sort((a, b) => byId(a.question, b.question));
    const messages = turns.flatMap(({ question, answer }) => [question, answer]);
    return { messages, shelf, cut: this.index.cut };
  }
}

const INTERRUPTED = { kind: 'interrupted' } as const;

function turnsOf(messages: readonly Message[]): Turn[] {
  return messages.flatMap((question, at) => {
    const answer = messages[at + 1];
    return question.role === 'user' && answer?.role === 'assistant' ? [{ question, answer }] : [];
  });
}

const REMOVAL_KINDS = ['cleared', 'replaced', 'undone'] as const;

function asShelved(value: unknown): ShelvedTurns | null {
  if (!isRecord(value) || !Array.isArray(value.turns)) return null;
  const id = asNumber(value.id);
  const kind = REMOVAL_KINDS.find((known) => known === value.kind);
  const turns = value.turns.map(asNumber).filter((turn) => turn !== null);
  if (id === null || kind === undefined) return null;
  return { id, kind, after: asNumber(value.after) ?? 0, turns };
}

function asCut(value: unknown): Cut | null {
  if (!isRecord(value)) return null;
  const droppedCount = asNumber(value.droppedCount);
  const firstKeptId = asNumber(value.firstKeptId);
  return droppedCount === null || firstKeptId === null ? null : { droppedCount, firstKeptId };
}
