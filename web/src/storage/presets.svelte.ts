/** Settings with a name, kept in this browser for the person. */

import { readSettings, type Settings } from './settings';
import { isRecord, keep, type Store } from './store';

export interface Preset {
  readonly name: string;
  readonly settings: Settings;
}

/** More would be no help. */
export const MOST_PRESETS = 50;

export class Presets {
  all = $state.raw<readonly Preset[]>([]);

  constructor(
    private readonly store: Store | null,
    private user: string,
  ) {
    this.load();
  }

  changeUser(user: string): void {
    this.user = user;
    this.load();
  }

  /**
   * Keeps settings under a name; one with the same name is replaced. Returns whether there was room
   * for it.
   */
  put(name: string, settings: Settings): boolean {
    const others = this.all.filter((preset) => preset.name !== name);
    if (others.length >= MOST_PRESETS) return false;
    this.save([...others, { name, settings }]);
    return true;
  }

  remove(name: string): void {
    this.save(this.all.filter((preset) => preset.name !== name));
  }

  storageChanged({ key }: StorageEvent): void {
    if (key === this.key) this.load();
  }

  private get key(): string {
    return `banter.presets.${this.user}`;
  }

  private save(presets: readonly Preset[]): void {
    this.all = [...presets].sort((a, b) => a.name.localeCompare(b.name));
    keep(this.store, this.key, JSON.stringify(this.all));
  }

  private load(): void {
    this.all = readPresets(this.store?.getItem(this.key) ?? null);
  }
}

function readPresets(json: string | null): Preset[] {
  try {
    const saved: unknown = JSON.parse(json ?? '[]');
    if (!Array.isArray(saved)) return [];
    return saved.flatMap((value: unknown) =>
      isRecord(value) && typeof value.name === 'string'
        ? [{ name: value.name, settings: readSettings(value.settings) }]
        : [],
    );
  } catch {
    return [];
  }
}
