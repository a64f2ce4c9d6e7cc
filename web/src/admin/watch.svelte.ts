/** Looks at the server again and again, and stops answers. */

import type { LockReason } from '../conversation/types';
import type { Http } from '../connection/http';
import type { ServerView } from '../wire';

/** How often it looks, while somebody looks at the page. */
const INTERVAL_MS = 1000;

/** What is known of the server. */
export type Seen =
  | { kind: 'nothing' }
  | { kind: 'locked'; reason: LockReason }
  | { kind: 'view'; view: ServerView }
  /** The newest view, of a server that does not answer now. */
  | { kind: 'away'; view: ServerView | null };

export class Watch {
  seen = $state.raw<Seen>({ kind: 'nothing' });
  /** The answer whose stop has failed. */
  notStopped = $state<number | null>(null);
  /** The key that was entered. It is kept nowhere else. */
  private key: string | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly http: Http) {}

  start(): void {
    document.addEventListener('visibilitychange', () => this.look());
    this.look();
  }

  signIn(key: string): void {
    this.key = key;
    this.seen = { kind: 'locked', reason: 'trying' };
    this.look();
  }

  async stop(id: number): Promise<void> {
    const path = `api/admin/answers/${id}/stop`;
    const response = await this.http.send('POST', path, {}, this.options());
    this.notStopped = response?.ok ? null : id;
    this.look();
  }

  private look(): void {
    clearTimeout(this.timer);
    if (document.visibilityState === 'hidden') return;
    void this.lookNow().then((goesOn) => {
      clearTimeout(this.timer);
      if (goesOn) this.timer = setTimeout(() => this.look(), INTERVAL_MS);
    });
  }

  /** Returns whether to look again. */
  private async lookNow(): Promise<boolean> {
    const response = await this.http.call('api/admin', this.options());
    if (!response) {
      const isTrying = this.seen.kind === 'locked';
      this.seen = isTrying
        ? { kind: 'locked', reason: 'away' }
        : { kind: 'away', view: 'view' in this.seen ? this.seen.view : null };
      return !isTrying;
    }
    if (response.ok) {
      const view = (await this.http.body(response)) as unknown as ServerView | null;
      if (view) this.seen = { kind: 'view', view };
      return true;
    }
    this.seen = { kind: 'locked', reason: this.reasonOf(response.status) };
    return false;
  }

  private reasonOf(status: number): LockReason {
    if (status === 429) return 'too_often';
    if (status >= 500) return 'away';
    return this.key === null ? 'needed' : 'key_refused';
  }

  /** A request may have one credential only, so a session's cookie stays at home beside a key. */
  private options(): RequestInit {
    if (this.key === null) return {};
    return { headers: { authorization: `Bearer ${this.key}` }, credentials: 'omit' };
  }
}
