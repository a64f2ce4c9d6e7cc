/** What is dropped onto the page: files, and folders, which only the drop itself can tell apart. */

import type { NamedBlob, Refusal } from './attachment';
import { cleanName } from './file_name';

export interface Dropped {
  readonly files: NamedBlob[];
  readonly refused: Refusal[];
}

/** To be called while the event is handled: the browser empties `transfer` afterwards. */
export function droppedFiles(transfer: Pick<DataTransfer, 'items'>): Dropped {
  const files: NamedBlob[] = [];
  const refused: Refusal[] = [];
  for (const item of transfer.items) {
    if (item.kind !== 'file') continue;
    const entry = item.webkitGetAsEntry();
    const file = item.getAsFile();
    if (entry?.isDirectory) {
      refused.push({ kind: 'refused', name: cleanName(entry.name), reason: 'folder' });
    } else if (file !== null) {
      files.push(file);
    }
  }
  return { files, refused };
}
