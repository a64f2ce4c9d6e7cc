/**
 * The models of the server: looks while someone wants to know, and while something is under way.
 */

import type { Api } from '../connection/api';
import { Pace } from './pace';
import type { ModelList } from '../wire';
import { type Agreed, NOTHING_AGREED } from './agreed';

const BUSY_LOOK_MS = 500;
const IDLE_LOOK_MS = 3_000;

export interface Refusal {
  /** What it is about, so that it can be shown in the right place. */
  readonly about: 'key' | 'typed_name' | 'order';
  /** Whether the text is not a name at all; a name may also be right but not pullable now. */
  readonly isNoName: boolean;
  /** The server's words; empty if it did not answer. */
  readonly said: string;
}

export interface ModelEvents {
  /** Another model answers now. */
  switched(): void;
}

export class Models {
  list = $state.raw<ModelList | null>(null);
  /** Why the server refused the latest order. */
  refused = $state.raw<Refusal | null>(null);
  /** Seconds until the pull is done, and bytes per second, as far as they can be told. */
  estimate = $state.raw<{ seconds: number | null; bytesPerSecond: number | null } | null>(null);

  private open = false;
  /** A key for models alone. */
  private key: string | null = null;
  private timer: number | null = null;
  private readonly pace = new Pace();

  constructor(
    private readonly api: Api,
    private readonly events: ModelEvents,
  ) {}

  watch(open: boolean): void {
    this.open = open;
    if (open) this.refused = null;
    if (open || this.isBusy) void this.look();
  }

  get isBusy(): boolean {
    return (
      this.list?.pull?.state.status === 'running' || this.list?.switch?.state.status === 'running'
    );
  }

  pull(name: string, agreed: Agreed = NOTHING_AGREED): Promise<boolean> {
    this.pace.reset();
    return this.change('pull', { name, ...agreed });
  }

  /** As `pull`, with a name that someone has typed. */
  pullTyped(name: string): Promise<boolean> {
    this.pace.reset();
    return this.change('pull', { name, ...NOTHING_AGREED }, 'typed_name');
  }

  stopPull(): Promise<boolean> {
    return this.change('stop', {});
  }

  switchTo(name: string): Promise<boolean> {
    return this.change('switch', { name });
  }

  /**
   * Uses another key for models alone, until the page is closed. Signing in with it would show the
   * conversations of that key instead of the person's own.
   */
  async useKey(key: string): Promise<void> {
    const list = await this.api.models(key);
    const isRight = list !== null && list.may_change;
    this.refused = isRight ? null : { about: 'key', isNoName: false, said: 'refused' };
    if (isRight) this.key = key;
    await this.look();
  }

  /** Somebody else has signed in. */
  forget(): void {
    this.key = null;
    this.list = null;
    this.refused = null;
  }

  private async change(
    what: 'pull' | 'switch' | 'stop',
    order: object,
    about: Refusal['about'] = 'order',
  ): Promise<boolean> {
    const refusal = await this.api.changeModels(what, order, this.key);
    this.refused = refusal && { about, ...refusal };
    await this.look();
    return this.refused === null;
  }

  private async look(): Promise<void> {
    if (this.timer !== null) window.clearTimeout(this.timer);
    this.timer = null;
    const before = this.list;
    const list = await this.api.models(this.key);
    if (list) this.take(list);
    if (before && list && before.current !== list.current) this.events.switched();
    if (!this.open && !this.isBusy) return;
    const delay = this.isBusy ? BUSY_LOOK_MS : IDLE_LOOK_MS;
    // Another look may have been begun meanwhile; one is enough.
    this.timer ??= window.setTimeout(() => void this.look(), delay);
  }

  private take(list: ModelList): void {
    this.list = list;
    const { pull } = list;
    if (pull?.state.status !== 'running') {
      this.estimate = null;
      return;
    }
    this.pace.look(pull.downloaded_bytes, performance.now());
    const seconds = this.pace.secondsFor(pull.total_bytes - pull.downloaded_bytes);
    this.estimate = { seconds, bytesPerSecond: this.pace.bytesPerSecond };
  }
}
