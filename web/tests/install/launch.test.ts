import { expect, it } from 'vitest';
import { readLaunch, withoutLaunch } from '../../src/install/launch';

it('reads what a shortcut or another program asks for', () => {
  const cases = [
    { search: '', startsNew: false, text: '' },
    { search: '?tab=2', startsNew: false, text: '' },
    { search: '?new', startsNew: true, text: '' },
    { search: '?q=%20why%3F%20', startsNew: true, text: 'why?' },
    { search: '?title=A&q=b%0Ac&url=https://d.example/', text: 'A\nb\nc\nhttps://d.example/' },
    { search: '?title=&q=https://d.example/&url=https://d.example/', text: 'https://d.example/' },
    { search: '?title=&q=&url=', startsNew: false, text: '' },
  ];
  for (const { search, startsNew = true, text } of cases)
    expect(readLaunch(search), search).toEqual({ startsNew, text });
});

it('takes that out of the address, and nothing else', () => {
  expect(withoutLaunch('?new')).toBe('');
  expect(withoutLaunch('?title=a&q=b&url=c')).toBe('');
  expect(withoutLaunch('?tab=2&q=b')).toBe('?tab=2');
});
