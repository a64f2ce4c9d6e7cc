/**
 * What a run of the browser tests drives. Every test runs with each of them, except those that
 * `left_out.ts` lists with the reason.
 *
 *     BANTER_BROWSER   chromium (unless set), firefox
 *     BANTER_VIEW      desktop (unless set), phone
 */

export type BrowserName = 'chromium' | 'firefox';
export type View = 'desktop' | 'phone';

export interface Run {
  readonly browser: BrowserName;
  readonly view: View;
}

export const RUN: Run = {
  browser: chosen('BANTER_BROWSER', ['chromium', 'firefox']),
  view: chosen('BANTER_VIEW', ['desktop', 'phone']),
};

function chosen<Choice extends string>(
  variable: string,
  choices: readonly [Choice, ...Choice[]],
): Choice {
  const value = process.env[variable] || choices[0];
  const choice = choices.find((name) => name === value);
  if (choice === undefined)
    throw new Error(`${variable}: expected ${choices.join(' or ')}, found ${value}`);
  return choice;
}
