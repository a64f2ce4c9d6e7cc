/** Stands in for the list of other names: without a highlighter they only name files. */

export const highlighterName = (language: string): string => language.toLowerCase();
