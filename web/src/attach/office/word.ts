/** The text of a Word document (.docx). */

import type { Lines } from './lines';
import { eventsOf, eventsOfNeeded, partOfType, relationsOf } from './package';
import { addParagraphs, readStyles } from './paragraphs';
import type { Zip } from './zip';

export async function addWordText(zip: Zip, document: string, lines: Lines): Promise<void> {
  const relations = await relationsOf(zip, document);
  const styles = readStyles(await eventsOf(zip, partOfType(relations, 'styles')));
  addParagraphs(await eventsOfNeeded(zip, document, 'word'), styles, lines);
  lines.add('');
  for (const type of ['footnotes', 'endnotes']) {
    addParagraphs(await eventsOf(zip, partOfType(relations, type)), styles, lines);
  }
}
