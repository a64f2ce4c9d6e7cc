/** Hubs write licences as they like; people know them by these names. */
const NAMES: Record<string, string> = {
  'apache-2.0': 'Apache-2.0',
  mit: 'MIT',
  'cc0-1.0': 'CC0-1.0',
  'qwen-research': 'Qwen Research',
  qwen: 'Qwen',
};

export function licenceName(licence: string): string {
  return NAMES[licence.toLowerCase()] ?? licence;
}
