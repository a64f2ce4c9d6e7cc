/** Dates in a workbook: numbers of days, which only their cell's style shows as dates. */

import type { XmlEvent } from './xml';

/** Source: ECMA-376, part 1, 18.8.30; from 27 on they are those of East Asian versions. */
const BUILT_IN_RANGES = [
  [14, 22],
  [27, 36],
  [45, 47],
  [50, 58],
] as const;

const DAY_MS = 86_400_000;
/** Day 0 of each way of counting; before day 60 the first one is a day behind. */
const SINCE_1900 = Date.UTC(1899, 11, 30);
const SINCE_1904 = Date.UTC(1904, 0, 1);
/** Excel takes 1900 for a leap year, and this day for 29 February. */
const LEAP_DAY_1900 = 60;
/** 31 December 9999, the last date that Excel knows. */
const LAST_DAY = 2_958_465;

/** The numbers of the cell styles that show dates, from a workbook's styles. */
export function dateStyles(events: Iterable<XmlEvent>): Set<number> {
  const custom = new Set<number>();
  const styles = new Set<number>();
  let count: number | null = null;
  for (const event of events) {
    if (event.kind === 'close' && event.name === 'cellXfs') count = null;
    if (event.kind !== 'open') continue;
    const format = Number(event.attributes.get('numFmtId'));
    if (event.name === 'numFmt') {
      if (isDateFormat(event.attributes.get('formatCode') ?? '')) custom.add(format);
    } else if (event.name === 'cellXfs') {
      count = 0;
    } else if (event.name === 'xf' && count !== null) {
      if (custom.has(format) || isBuiltIn(format)) styles.add(count);
      count += 1;
    }
  }
  return styles;
}

/** As 2026-12-01, 2026-12-01 08:30:00 or 08:30:00; `null` for what is no date. */
export function dateText(days: number, startsIn1904: boolean): string | null {
  if (!(days >= 0 && days <= LAST_DAY)) return null;
  const isEarly = !startsIn1904 && days < LEAP_DAY_1900;
  const start = startsIn1904 ? SINCE_1904 : SINCE_1900 + (isEarly ? DAY_MS : 0);
  const iso = new Date(start + Math.round(days * 86_400) * 1000).toISOString();
  const [date, time] = [iso.slice(0, 10), iso.slice(11, 19)];
  if (days < 1) return time;
  return time === '00:00:00' ? date : `${date} ${time}`;
}

function isBuiltIn(format: number): boolean {
  return BUILT_IN_RANGES.some(([first, last]) => format >= first && format <= last);
}

/** Quoted text, escaped characters and what is in brackets, such as colours, are no fields. */
function isDateFormat(code: string): boolean {
  return /[ymdhs]/i.test(code.replace(/"[^"]*"|\\.|_.|\[(?!h+\]|m+\]|s+\])[^\]]*\]/gi, ''));
}
