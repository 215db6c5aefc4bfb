import { FINDING_MARKS, MARKS } from './marks.js';

/** What a symbol says that stands alone before a text. */
const ALONE: Record<string, string> = {
  '✗': 'error',
  '!': 'warning',
  '✔': 'equal',
  '↶': '',
  '·': '',
  '-': '',
  '~': '',
  '?': '',
};

const WORDS = [...Object.values(MARKS), ...Object.values(FINDING_MARKS)].flatMap(({ word }) => word || []);
/** The text says in words already what the symbol before it says. */
const TOLD = new RegExp(`\\b(${WORDS.join('|')}|equal|no answer)\\b`, 'i');

/** A line of a screen as it is read aloud: words for symbols, commas for columns, nothing for what only divides. */
export function spoken(row: string): string {
  const [, symbol, text] = /^\s*>?\s*(?:([✗✔!↶·~?-])\s(?=\S))?(.*)$/su.exec(row)!;
  const word = symbol === undefined || TOLD.test(text!) ? '' : ALONE[symbol]!;
  return `${word === '' ? '' : `${word}: `}${text}`
    .replace(/ ?[◀]|[─█░●◐◑◌✔✗↶]+ */g, '')
    .replace(/↑↓/g, 'up and down')
    .replace(/→←/g, 'right and left')
    .replace(/→(?= shows)/g, 'right')
    .replace(/↓/g, 'down')
    .replace(/\^C/g, 'ctrl-c')
    .replace(/(\d) %/g, '$1 percent')
    .replace(/~(?=\d)/g, 'about ')
    .trim()
    .replace(/^([A-Z][A-Za-z ]{1,9}?) {2,}/, '$1: ')
    .replace(/ +· +| {2,}/g, ', ')
    .replace(/,( ,)+|,,+/g, ',');
}
