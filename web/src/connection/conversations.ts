/** The server's HTTP routes for conversations. Nothing here throws. */

import type {
  ContextFit,
  ContextRequest,
  ConversationId,
  ConversationList,
  ConversationPatch,
  ImportReport,
  MessageId,
  NewContextRequest,
  SearchResults,
} from '../wire';
import type { Reply } from '../list/changes';
import type { Http } from './http';

const LIST = 'api/conversations';
/** The Fetch standard's limit for all requests together that outlive a page is 64 KiB. */
const MOST_KEPT_ALIVE_BYTES = 60_000;
/** UTF-8 takes at most three bytes for one unit of UTF-16. */
const MOST_BYTES_PER_UNIT = 3;
/** A proxy's words for a server that is away, and a server's for one that is about to end. */
const AWAY = [502, 503, 504];
/** A large file takes its time. */
const IMPORT_PATIENCE_MS = 120_000;

/** Why a file is not imported. */
export interface ImportRefusal {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
}

export class ConversationsApi {
  constructor(private readonly http: Http) {}

  list(after: string | null, archived: boolean): Promise<ConversationList | null> {
    const query = new URLSearchParams({ archived: String(archived) });
    if (after !== null) query.set('after', after);
    return this.http.read<ConversationList>(`${LIST}?${query}`);
  }

  search(text: string): Promise<SearchResults | null> {
    return this.http.read<SearchResults>(`${LIST}?${new URLSearchParams({ q: text })}`);
  }

  async change(id: ConversationId, patch: ConversationPatch): Promise<Reply> {
    const body = JSON.stringify(patch);
    // A choice holds although the page is left at once. Browsers take only so much of that.
    const keepalive = body.length * MOST_BYTES_PER_UNIT <= MOST_KEPT_ALIVE_BYTES;
    const response = await this.http.send('PATCH', pathOf(id), patch, { keepalive });
    if (!response || AWAY.includes(response.status)) return 'no answer';
    return response.ok ? 'changed' : 'refused';
  }

  /** Deletes a conversation; goes on though the page is closed meanwhile. */
  async remove(id: ConversationId): Promise<boolean> {
    const response = await this.http.call(pathOf(id), { method: 'DELETE', keepalive: true });
    return isDeleted(response);
  }

  /** Deletes a user's message with all its answers; what follows them is kept. */
  async removePair(id: ConversationId, question: MessageId): Promise<boolean> {
    const path = `${pathOf(id)}/messages/${encodeURIComponent(question)}?following=keep`;
    return isDeleted(await this.http.call(path, { method: 'DELETE', keepalive: true }));
  }

  /** How a message would fit; `null` where that cannot be told now. */
  fit(id: ConversationId, request: ContextRequest): Promise<ContextFit | null> {
    return this.http.ask<ContextFit>(`${pathOf(id)}/context`, request);
  }

  /** The same for the first message of a new conversation. */
  fitOfNew(request: NewContextRequest): Promise<ContextFit | null> {
    return this.http.ask<ContextFit>(`${LIST}/context`, request);
  }

  /** Where a file with one conversation, or with all of them, is downloaded from. */
  exportAddress(id: ConversationId | null, format: 'markdown' | 'json'): string {
    const path = id === null ? `${LIST}/export` : `${pathOf(id)}/export?format=${format}`;
    return this.http.base + path;
  }

  /** What was imported, or why nothing was; `null` if the server does not answer. */
  async import(file: Blob): Promise<ImportReport | { refused: ImportRefusal | null }> {
    const response = await this.http.call(`${LIST}/import`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: file,
      signal: AbortSignal.timeout(IMPORT_PATIENCE_MS),
    });
    const body = response && (await this.http.body(response));
    if (response?.ok && body) return body as unknown as ImportReport;
    if (!response || AWAY.includes(response.status)) return { refused: null };
    const error = body?.error as ImportRefusal | undefined;
    return { refused: error ?? { code: '', message: '' } };
  }
}

function pathOf(id: ConversationId): string {
  return `${LIST}/${encodeURIComponent(id)}`;
}

/** What is gone already needs no deletion. */
function isDeleted(response: Response | null): boolean {
  return response?.ok === true || response?.status === 404;
}
