import { describe, expect, it } from 'vitest';
import { type Options, readOptions } from '../../src/embed/options';

const HOST = 'https://chat.example/';

function read(attributes: Record<string, string>): { options: Options | null; said: string[] } {
  const said: string[] = [];
  const options = readOptions(
    (name) => attributes[name] ?? null,
    HOST,
    (message) => said.push(message),
  );
  return { options, said };
}

describe('the options of a site', () => {
  it('have defaults for all but the key', () => {
    expect(read({ key: ' k ' })).toEqual({
      options: {
        host: HOST,
        key: 'k',
        position: 'right',
        theme: 'auto',
        accent: null,
        accentDark: null,
        title: null,
        greeting: null,
        suggestions: [],
        language: null,
      },
      said: [],
    });
  });

  it('are what the site has chosen', () => {
    const { options, said } = read({
      key: 'k',
      host: 'https://other.example/chat',
      position: 'left',
      theme: 'dark',
      accent: '#A10',
      'accent-dark': '#ffeedd',
      title: 'Help',
      greeting: 'Hello',
      suggestions: ' How? | | What? ',
      lang: 'zh',
    });
    expect(options).toMatchObject({
      host: 'https://other.example/chat/',
      position: 'left',
      theme: 'dark',
      accent: '#A10',
      accentDark: '#ffeedd',
      title: 'Help',
      greeting: 'Hello',
      suggestions: ['How?', 'What?'],
      language: 'zh',
    });
    expect(said).toEqual([]);
  });

  it('without a key there is no widget, and the console says what is missing', () => {
    const { options, said } = read({ title: 'Help' });
    expect(options).toBeNull();
    expect(said).toEqual([expect.stringContaining('data-key: expected the key')]);
  });

  const wrong: [string, string, string][] = [
    ['position', 'top', 'right or left'],
    ['theme', 'blue', 'auto or light or dark'],
    ['lang', 'fr', 'auto or en or zh'],
    ['accent', 'red; }', 'a colour such as #0b6a65'],
    ['accent-dark', '#12345', 'a colour such as #0b6a65'],
    ['host', 'javascript:alert(1)', 'an address such as'],
    ['host', 'chat', 'an address such as'],
  ];
  for (const [name, value, expected] of wrong) {
    it(`a wrong ${name} (${value}) is told, and the default holds`, () => {
      const { options, said } = read({ key: 'k', [name]: value });
      expect(options).toEqual(read({ key: 'k' }).options);
      expect(said).toHaveLength(1);
      for (const part of [`data-${name}`, expected, `"${value}"`]) expect(said[0]).toContain(part);
    });
  }

  it('have limits', () => {
    const { options } = read({ key: 'k', title: 't'.repeat(99), suggestions: 'a|'.repeat(99) });
    expect(options?.title).toHaveLength(60);
    expect(options?.suggestions).toHaveLength(6);
  });
});
