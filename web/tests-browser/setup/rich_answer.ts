/** Everything an answer can hold. */
export const RICH_ANSWER = [
  '## Heading\n\nSome **bold**, *slanted*, ~~gone~~ words with `code`, a [link](https://example.org/a/rather/long/address/that/does/not/fit) and $e^{i\\pi}$.',
  '```python\ndef quicksort(items):  # a comment\n    return "a rather long line of code that is wider than any phone is, and goes on", 42\n```',
  '| name | first long column | second long column | third long column |\n|---|---:|:--:|---|\n| a | 1 | 2 | 3 |',
  '$$\\int_0^1 \\frac{\\sqrt{x}}{1+x} \\, dx = \\sum_{n=0}^{\\infty} a_n + b_n + c_n + d_n + e_n + f_n + g_n + h_n$$',
  '1. one\n2. two\n   - nested\n\n> a quote\n\n---\n\neveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword 你好，世界。🎉',
].join('\n\n');
