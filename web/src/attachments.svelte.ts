/** Files that are to go with the next message: read in the browser, with their size in tokens. */

import type { Attachment, NamedBlob, Refusal } from './attach/attachment';
import type { Api } from './connection/api';
import type { Drafts } from './storage/drafts.svelte';

/** A file as the composer shows it. */
export interface Attached {
  readonly name: string;
  readonly text: string;
  /** `null` until they are counted, or where nobody counts. */
  readonly tokens: number | null;
}

/** A longer text takes the server longer to count than a person waits. */
const LONGEST_COUNTED = 1_000_000;

export class Attachments {
  /** Files that are being read. */
  reading = $state(0);
  /** Files that were not taken, until the person has seen it. */
  refusals = $state.raw<readonly Refusal[]>([]);

  constructor(
    private readonly drafts: Drafts,
    private readonly api: Api,
    private readonly mostBytes: () => number,
  ) {}

  get all(): readonly Attached[] {
    return this.drafts.files;
  }

  /** Takes what was dropped or pasted; to be called while the event is handled. */
  async addFrom(transfer: DataTransfer): Promise<void> {
    // Only the event itself has the files.
    const items = [...transfer.items].filter(({ kind }) => kind === 'file');
    const entries = items.map((item) => item.webkitGetAsEntry()?.isDirectory ?? false);
    const files = items.map((item) => item.getAsFile());
    const folders = files.flatMap((file, at): Refusal[] =>
      entries[at] && file ? [{ kind: 'refused', name: file.name, reason: 'folder' }] : [],
    );
    this.refusals = folders;
    await this.read(files.filter((file, at): file is File => file !== null && !entries[at]));
  }

  async add(files: readonly NamedBlob[]): Promise<void> {
    this.refusals = [];
    await this.read(files);
  }

  /** The person has seen that a file was not taken. */
  dismiss(refusal: Refusal): void {
    this.refusals = this.refusals.filter((other) => other !== refusal);
  }

  remove(index: number): void {
    this.drafts.changeFiles(this.all.filter((_, at) => at !== index));
  }

  /** The message with the files was sent. */
  clear(): void {
    this.drafts.changeFiles([]);
    this.refusals = [];
  }

  private async read(files: readonly NamedBlob[]): Promise<void> {
    const { place } = this.drafts;
    this.reading += files.length;
    for (const file of files) {
      const result = await this.readOne(file);
      this.reading -= 1;
      // What was attached to one conversation is not for another.
      if (place !== this.drafts.place) continue;
      if (result.kind === 'refused') this.refusals = [...this.refusals, result];
      else void this.take(result);
    }
  }

  private async readOne(file: NamedBlob): Promise<Attachment | Refusal> {
    try {
      const { DEFAULT_LIMITS, readAttachment } = await import('./attach/read');
      const textBytes = Math.min(DEFAULT_LIMITS.textBytes, this.mostBytes());
      return await readAttachment(file, { ...DEFAULT_LIMITS, textBytes });
    } catch (error) {
      // The part of the page that reads files could not be fetched.
      const { name } = error as Error;
      return { kind: 'refused', name: file.name, reason: 'unreadable', error: name };
    }
  }

  private async take({ name, text }: Attachment): Promise<void> {
    const place = this.drafts.place;
    const attached = { name, text, tokens: null };
    this.drafts.changeFiles([...this.all, attached]);
    const tokens = text.length > LONGEST_COUNTED ? null : await this.api.countTokens(text);
    if (tokens === null || place !== this.drafts.place) return;
    this.drafts.changeFiles(this.all.map((one) => (one === attached ? { ...one, tokens } : one)));
  }
}
