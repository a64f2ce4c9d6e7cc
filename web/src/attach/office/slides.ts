/** The text of slides (.pptx), in their order, without the speaker's notes. */

import type { Lines } from './lines';
import { eventsOfNeeded, partNamedBy, relationsOf } from './package';
import { addParagraphs } from './paragraphs';
import type { Zip } from './zip';

export async function addSlideText(zip: Zip, presentation: string, lines: Lines): Promise<void> {
  const relations = await relationsOf(zip, presentation);
  const slides: string[] = [];
  for (const event of await eventsOfNeeded(zip, presentation, 'slides')) {
    if (event.kind !== 'open' || event.name !== 'sldId') continue;
    const part = partNamedBy(event.attributes, relations);
    if (part !== null) slides.push(part);
  }
  for (const [index, slide] of slides.entries()) {
    lines.begin(`# Slide ${index + 1}`);
    addParagraphs(await eventsOfNeeded(zip, slide, 'slides'), new Map(), lines);
  }
}
