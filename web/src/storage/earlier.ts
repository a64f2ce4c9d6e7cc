/**
 * Takes over what the page kept in the browser before the server had conversations: the
 * conversation of each person, and what that person had cleared or replaced in it.
 *
 *     banter.turn.OWNER.ID     a question and its answer; ids rise with time
 *     banter.thread.OWNER      which turns were cleared or replaced: the "removals"
 *     banter.conversation      the only conversation, before persons were told apart
 *     banter.owner             the person who was here last
 *
 * An owner has the name that the server now gives as the user. `unknown` is an owner whom no server
 * had named yet: then it is the person who was here last, or else the first who comes.
 *
 * The entries become a file as the server exports it. Other versions of a question become branches,
 * and what was cleared becomes an archived conversation.
 */

import type { ImportReport } from '../wire';
import {
  EARLIER_CONVERSATION,
  EARLIER_DRAFTS,
  EARLIER_THREADS,
  EARLIER_TURNS,
  isEarlier,
} from './earlier_keys';
import { PREFERENCES_KEY } from './preferences';
import { asNumber, isRecord, keep, keysOf, parseRecord, readRecord, type Store } from './store';
import { UNKNOWN_USER } from './user';

const OWNER = 'banter.owner';
/** Ids had room for this many in each millisecond. */
const IDS_PER_MS = 1024;
/** The year 2001: smaller ids are of the first version, where they were no times. */
const LEAST_MS = 1e12;
const VERSION = 2;

interface Turn {
  readonly id: number;
  readonly question: Saved;
  readonly answer: Saved;
  /** The entry that it is from. */
  readonly key: string;
}

type Saved = Record<string, unknown> & { readonly text: string };

interface Removal {
  readonly isClear: boolean;
  /** It was undone, and could be done again. */
  readonly isUndone: boolean;
  /** Turns from this id on are the other version of those that were removed. */
  readonly from: number;
  readonly turns: readonly Turn[];
}

/** What becomes one conversation: the versions of it, the one that was shown last first. */
interface Part {
  readonly isArchived: boolean;
  readonly versions: (readonly Turn[])[];
}

export interface EarlierConversation {
  /** As in a file of `GET /api/conversations/export`. */
  readonly entry: object;
  /** The entries that it was made of. */
  readonly keys: readonly string[];
}

/** What a person's earlier conversations are, the newest first. */
export function earlierConversations(
  store: Store,
  user: string,
  nowMs: number,
): EarlierConversation[] {
  const settings = readSettings(store);
  return ownersOf(store, user)
    .flatMap((owner) => partsOf(readTurns(store, owner), readRemovals(store, owner)))
    .concat(isOwnerless(store, user) ? partsOf(readFirstVersion(store), []) : [])
    .filter(({ versions }) => versions.some((turns) => turns.length > 0))
    .map((part) => ({ entry: { ...settings, ...entryOf(part, nowMs) }, keys: keysIn(part) }));
}

/**
 * Imports them one by one. An entry is removed once the server has its conversation. Returns
 * whether the server has refused one; what it does not answer is left for the next time.
 */
export async function takeOver(
  store: Store,
  user: string,
  send: (file: Blob) => Promise<ImportReport | { readonly refused: unknown }>,
): Promise<'taken' | 'refused'> {
  const now = Date.now();
  let hasRefused = false;
  // What is imported last is the newest.
  for (const { entry, keys } of earlierConversations(store, user, now).reverse()) {
    const file = { format: 'banter', version: 1, exported_ms: now, conversations: [entry] };
    const report = await send(new Blob([JSON.stringify(file)]));
    if (!('refused' in report) && report.conversations === 1)
      for (const key of keys) store.removeItem(key);
    else hasRefused ||= !('refused' in report) || report.refused !== null;
  }
  removeEmpty(store, user);
  return hasRefused ? 'refused' : 'taken';
}

/** What was being written in this tab, the new message and changes to earlier ones. */
export function takeDrafts(tabStore: Store, user: string): string {
  const texts = [user, UNKNOWN_USER].flatMap((owner) => {
    const key = EARLIER_DRAFTS + owner;
    const saved = readRecord(tabStore, key);
    tabStore.removeItem(key);
    const edits = isRecord(saved?.edits) ? Object.values(saved.edits) : [];
    return [...edits, saved?.message];
  });
  return texts.filter((text) => typeof text === 'string' && text.trim() !== '').join('\n\n');
}

function ownersOf(store: Store, user: string): string[] {
  return isOwnerless(store, user) ? [user, UNKNOWN_USER] : [user];
}

/** Whether what has no owner belongs to this person. */
function isOwnerless(store: Store, user: string): boolean {
  const last = store.getItem(OWNER) ?? UNKNOWN_USER;
  return last === user || last === UNKNOWN_USER;
}

function readTurns(store: Store, owner: string): Turn[] {
  const prefix = `${EARLIER_TURNS}${owner}.`;
  const keys = keysOf(store).filter((key) => key.startsWith(prefix));
  return keys.flatMap((key) => {
    const saved = parseRecord(store.getItem(key));
    const id = isRecord(saved?.question) ? asNumber(saved.question.id) : null;
    if (saved?.version !== VERSION || id === null) return [];
    return turnOf(saved.question, saved.answer, { id, key });
  });
}

/** There ids were only unique, and answers followed their questions. */
function readFirstVersion(store: Store): Turn[] {
  const saved = readRecord(store, EARLIER_CONVERSATION);
  const messages: unknown[] = Array.isArray(saved?.messages) ? saved.messages : [];
  return messages.flatMap((question, at) =>
    turnOf(question, messages[at + 1], { id: at, key: EARLIER_CONVERSATION }),
  );
}

function turnOf(question: unknown, answer: unknown, rest: Pick<Turn, 'id' | 'key'>): Turn[] {
  const isTurn = isSaved(question, 'user') && isSaved(answer, 'assistant');
  return isTurn ? [{ question, answer, ...rest }] : [];
}

function isSaved(value: unknown, role: 'user' | 'assistant'): value is Saved {
  return isRecord(value) && value.role === role && typeof value.text === 'string';
}

type Shelved = Omit<Removal, 'turns'> & { readonly turns: readonly unknown[] };

function readRemovals(store: Store, owner: string): Shelved[] {
  const saved = readRecord(store, EARLIER_THREADS + owner);
  const shelf: unknown[] =
    saved?.version === VERSION && Array.isArray(saved.shelf) ? saved.shelf : [];
  return shelf.flatMap((value) => {
    if (!isRecord(value) || !Array.isArray(value.turns)) return [];
    const isClear = value.kind === 'cleared' || value.kind === 'clear_undone';
    const isUndone = value.kind === 'undone' || value.kind === 'clear_undone';
    if (!isClear && !isUndone && value.kind !== 'replaced') return [];
    // At first, the id of the message before the other version was kept instead.
    const from = asNumber(value.from) ?? (asNumber(value.after) ?? 0) + 1;
    return [{ isClear, isUndone, from, turns: value.turns }];
  });
}

/** Undoes and redoes all removals in the mind, and collects what would be shown then. */
function partsOf(turns: readonly Turn[], shelved: readonly Shelved[]): Part[] {
  const rest = new Map(turns.map((turn) => [turn.id, turn]));
  const removals: Removal[] = shelved.map((removal) => ({
    ...removal,
    turns: removal.turns.flatMap((id) => {
      const turn = rest.get(Number(id));
      rest.delete(Number(id));
      return turn ? [turn] : [];
    }),
  }));
  const shown: Part = { isArchived: false, versions: [sorted([...rest.values()])] };
  const latest = removals.findLastIndex(({ isUndone }) => !isUndone);
  const older = versionsFrom(shown, removals.slice(0, latest + 1).reverse());
  const newer = versionsFrom(shown, removals.slice(latest + 1));
  return [shown, ...newer, ...older];
}

/** Adds versions to a part. Returns the parts that "Clear" has cut off from it. */
function versionsFrom(shown: Part, removals: readonly Removal[]): Part[] {
  const parts: Part[] = [];
  let part = shown;
  let version = shown.versions[0] ?? [];
  for (const { isClear, isUndone, from, turns } of removals) {
    if (isClear && isUndone) {
      version = version.filter(({ id }) => id >= from);
    } else if (isClear) {
      version = turns;
      part = { isArchived: true, versions: [version] };
      parts.push(part);
    } else {
      version = sorted([...version.filter(({ id }) => id < from), ...turns]);
      part.versions.push(version);
    }
  }
  return parts;
}

function sorted(turns: readonly Turn[]): Turn[] {
  return [...turns].sort((a, b) => a.id - b.id);
}

function keysIn({ versions }: Part): string[] {
  return [...new Set(versions.flat().map(({ key }) => key))];
}

function entryOf({ isArchived, versions }: Part, nowMs: number): object {
  /** What a turn comes after, by the turn's id. */
  const parents = new Map<number, string | null>();
  for (const version of versions)
    for (const [at, { id }] of version.entries()) {
      const before = version[at - 1];
      if (!parents.has(id)) parents.set(id, before ? answerId(before) : null);
    }
  const turns = sorted([...new Set(versions.flat())]);
  const leaf = versions[0]?.at(-1) ?? turns.at(-1);
  const times = turns.map(({ id }) => timeOf(id, nowMs));
  return {
    id: 'earlier',
    title: '',
    title_source: 'none',
    archived: isArchived,
    created_ms: Math.min(...times),
    updated_ms: Math.max(...times),
    leaf: leaf ? answerId(leaf) : null,
    messages: turns.flatMap((turn) => messagesOf(turn, parents.get(turn.id) ?? null, nowMs)),
  };
}

function messagesOf(turn: Turn, parent: string | null, nowMs: number): object[] {
  const { id, question, answer } = turn;
  const created_ms = timeOf(id, nowMs);
  const thinking = isRecord(answer.thinking) ? answer.thinking.text : null;
  const firstWordMs = isRecord(answer.figures) ? asNumber(answer.figures.firstWordMs) : null;
  const asked = { id: `q${id}`, parent, role: 'user', state: 'complete', created_ms };
  return [
    { ...asked, text: question.text },
    {
      id: answerId(turn),
      parent: asked.id,
      role: 'assistant',
      text: answer.text,
      created_ms,
      ...endOf(answer.outcome),
      ...(typeof thinking === 'string' ? { thinking } : {}),
      ...(firstWordMs === null ? {} : { timings: { first_token_ms: firstWordMs } }),
    },
  ];
}

function answerId({ id }: Turn): string {
  return `a${id}`;
}

function timeOf(id: number, nowMs: number): number {
  const ms = Math.floor(id / IDS_PER_MS);
  return ms < LEAST_MS ? nowMs : Math.min(ms, nowMs);
}

/** State and reason of an answer. One that had no end was interrupted. */
function endOf(outcome: unknown): object {
  const { kind, fault } = isRecord(outcome) ? outcome : {};
  switch (kind) {
    case 'complete':
      return { state: 'complete', reason: 'end' };
    case 'stopped':
      return { state: 'stopped', reason: 'stopped' };
    case 'cut':
      return { state: 'length', reason: 'length' };
    case 'filtered':
    case 'unavailable':
      return { state: 'failed', reason: kind };
    case 'failed':
      return { state: 'failed', reason: 'failed', ...errorOf(fault) };
    default:
      return { state: 'interrupted', reason: 'disconnected' };
  }
}

function errorOf(fault: unknown): object {
  if (!isRecord(fault)) return {};
  const { code, message } = fault;
  const isError = typeof code === 'string' && typeof message === 'string';
  return isError ? { error: { code, message } } : {};
}

/** The settings that the page had for all conversations. */
function readSettings(store: Store): object {
  const saved = readRecord(store, PREFERENCES_KEY)?.parameters;
  if (!isRecord(saved)) return {};
  const { maxTokens, temperature, topP, repetitionPenalty, systemPrompt } = saved;
  const numbers = {
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    repetition_penalty: repetitionPenalty,
  };
  const set = Object.entries(numbers).filter(([, value]) => asNumber(value) !== null);
  const hasPrompt = typeof systemPrompt === 'string' && systemPrompt.trim() !== '';
  return {
    ...(set.length > 0 ? { parameters: Object.fromEntries(set) } : {}),
    ...(hasPrompt ? { system: systemPrompt } : {}),
  };
}

/** Removes what says something about entries that are not there any more. */
function removeEmpty(store: Store, user: string): void {
  for (const owner of ownersOf(store, user))
    if (readTurns(store, owner).length === 0) store.removeItem(EARLIER_THREADS + owner);
  if (keysOf(store).some(isEarlier)) return;
  store.removeItem(OWNER);
  const preferences = readRecord(store, PREFERENCES_KEY);
  if (!preferences?.parameters) return;
  delete preferences.parameters;
  keep(store, PREFERENCES_KEY, JSON.stringify(preferences));
}
