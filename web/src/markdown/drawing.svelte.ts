/**
 * Draws the HTML of a block into its element and changes it while the answer grows. Formulas,
 * checkboxes and blocks of code are put into their places; nodes that are drawn already stay.
 */

import { mount, unmount } from 'svelte';
import CodeBlock from '../parts/CodeBlock.svelte';
import type { TalkWords } from '../words';
import type { Code, Pieces } from './blocks';
import { cleanNodes } from './clean';
import type { Shell } from './html';
import { drawMath } from './math';
import { findMath, sourceOf } from './math_places';
import { morphChildren, morphNode } from './morph';
import { keepWithPunctuation } from './unbroken';

/** Elements that may scroll sideways; the keyboard must reach them. */
const SCROLLING = '[data-table], [data-math="display"]';
/** Elements whose text must not decide the direction of the text around them. */
const LEFT_TO_RIGHT = 'code, pre, kbd, [data-math]';
/** All that `decorate` changes; most blocks have nothing of it. */
const DECORATED = `${SCROLLING}, ${LEFT_TO_RIGHT}, h1, span[data-task]`;
const BLOCKS =
  'p, li, ul, ol, blockquote, h1, h2, h3, h4, h5, h6, td, tr, tbody, table, div, details';

/** A block of code within a list, a quote or the like. */
class Host {
  code = $state.raw() as Code;
  words = $state.raw() as TalkWords;
  mounted: Record<string, unknown> | null = null;

  constructor(code: Code, words: TalkWords) {
    [this.code, this.words] = [code, words];
  }
}

export interface Look {
  /** The answer is being written here. */
  readonly cursor: boolean;
  readonly words: TalkWords;
}

export class Drawing {
  private readonly hosts = new Map<Element, Host>();
  private cursor: HTMLElement | null = null;
  /** Of a list or a table: where its pieces are, and how many of them are finished. */
  private place: Element | null = null;
  private shell = '';
  private lastFinished: Element | null = null;
  private drawnCount = 0;
  /**
   * What the finished pieces were drawn from. The array only grows: another one is another text.
   */
  private finished: readonly string[] | null = null;
  private words: TalkWords | null = null;
  /** Formulas in the newest nodes. */
  private formulas: HTMLElement[] = [];

  constructor(private readonly root: HTMLElement) {}

  showHtml(html: string, look: Look): void {
    const fresh = cleanNodes(html);
    this.decorate(fresh, look);
    this.cursor?.remove();
    morphChildren(this.root, fresh, this.decide);
    this.end(look);
  }

  showPieces({ shell, finished, count, open }: Pieces, look: Look): void {
    if (shell.open !== this.shell) this.drawShell(shell, look);
    const isOther = finished !== this.finished || look.words !== this.words;
    if (isOther) [this.lastFinished, this.drawnCount] = [null, 0];
    [this.finished, this.words] = [finished, look.words];
    const place = this.place!;
    this.cursor?.remove();
    const first = Math.min(this.drawnCount, count);
    const pieces = [...finished.slice(first, count), ...open];
    const fresh = this.nodesOf(pieces, { ...look, cursor: look.cursor && open.length > 0 });
    let last = this.lastFinished;
    for (const [index, node] of fresh.entries()) {
      last = this.putBehind(last, node);
      if (first + index < count) this.lastFinished = last;
    }
    while (place.lastElementChild !== last) place.lastElementChild!.remove();
    if (place instanceof HTMLOListElement) makeRoomForNumbers(place);
    this.drawnCount = count;
    this.end(look);
  }

  destroy(): void {
    for (const { mounted } of this.hosts.values()) if (mounted) void unmount(mounted);
    this.hosts.clear();
  }

  /**
   * Puts a piece after `before`; if the piece that is there can be changed into it, that is done.
   */
  private putBehind(before: Element | null, node: Element): Element {
    const current = before ? before.nextElementSibling : this.place!.firstElementChild;
    if (!current) this.place!.append(node);
    else if (morphNode(current, node, this.decide)) return current;
    else current.replaceWith(node);
    return node;
  }

  private drawShell({ open, close }: Shell, look: Look): void {
    const nodes = cleanNodes(open + close);
    this.decorate(nodes, look);
    this.root.replaceChildren(nodes);
    this.place = this.root.querySelector('tbody') ?? this.root.querySelector('ul, ol') ?? this.root;
    this.shell = open;
    this.lastFinished = null;
    this.drawnCount = 0;
  }

  /** Items or rows; alone they would be no HTML. */
  private nodesOf(pieces: readonly string[], look: Look): Element[] {
    if (pieces.length === 0) return [];
    const isTable = this.place!.nodeName === 'TBODY';
    const [open, close] = isTable ? ['<table><tbody>', '</tbody></table>'] : ['<ul>', '</ul>'];
    const nodes = cleanNodes(open + pieces.join('') + close);
    this.decorate(nodes, look);
    return [...nodes.querySelector(isTable ? 'tbody' : 'ul')!.children];
  }

  private decorate(nodes: ParentNode, { cursor, words }: Look): void {
    if (!nodes.querySelector(DECORATED)) return;
    // The page has one title of its own; to screen readers that of an answer is one level lower.
    nodes.querySelectorAll('h1').forEach((title) => title.setAttribute('aria-level', '2'));
    nodes.querySelectorAll<HTMLElement>(LEFT_TO_RIGHT).forEach((text) => (text.dir = 'ltr'));
    const formulas = findMath(nodes);
    keepWithPunctuation(formulas);
    this.formulas.push(...formulas);
    nodes.querySelectorAll<HTMLElement>(SCROLLING).forEach((wide) => (wide.tabIndex = 0));
    nodes.querySelectorAll<HTMLElement>('span[data-task]').forEach((task) => {
      task.replaceWith(checkbox(task.dataset.task === 'done', words));
    });
    nodes.querySelectorAll<HTMLElement>('pre').forEach((pre) => {
      const closed = !cursor || pre.dataset.open === undefined;
      const code = { language: pre.dataset.language ?? '', text: pre.textContent ?? '', closed };
      const place = document.createElement('div');
      place.className = 'code-place';
      this.hosts.set(place, new Host(code, words));
      pre.replaceWith(place);
    });
  }

  /** Decides from what is drawn in two elements whether the old one stays. */
  private readonly decide = (old: Element, fresh: Element) => {
    if ([old, fresh].some((one) => one.matches('[data-math]')))
      return sourceOf(old) === sourceOf(fresh) ? 'keep' : 'replace';
    const [host, next] = [this.hosts.get(old), this.hosts.get(fresh)];
    if (!host && !next) return 'morph';
    if (!host || !next) return 'replace';
    Object.assign(host, { code: next.code, words: next.words });
    this.hosts.delete(fresh);
    return 'keep';
  };

  /** Mounts new blocks of code, unmounts removed ones, and puts the cursor at the end. */
  private end({ cursor }: Look): void {
    for (const [place, host] of this.hosts) {
      if (!this.root.contains(place)) {
        if (host.mounted) void unmount(host.mounted);
        this.hosts.delete(place);
      } else if (!host.mounted) this.mount(place, host);
    }
    drawMath(this.formulas);
    this.formulas = [];
    if (cursor) lastTextElement(this.root).append((this.cursor ??= cursorElement()));
  }

  private mount(place: Element, host: Host): void {
    const props = {
      get code() {
        return host.code;
      },
      get words() {
        return host.words;
      },
      cursor: false,
    };
    host.mounted = mount(CodeBlock, { target: place, props });
  }
}

function lastTextElement(element: Element): Element {
  const last = element.lastElementChild;
  const isLast = last?.matches(BLOCKS) && !last.matches('[data-math], .code-place');
  return last && isLast ? lastTextElement(last) : element;
}

/**
 * Numbers stand in the padding of a list; those of three and more digits need more than is usual.
 */
function makeRoomForNumbers(list: HTMLOListElement): void {
  const { length: digits } = String(list.start + list.childElementCount);
  if (digits > 2) list.style.paddingInlineStart = `${digits * 0.65 + 0.7}em`;
}

function checkbox(checked: boolean, words: TalkWords): HTMLElement {
  const box = document.createElement('input');
  box.type = 'checkbox';
  box.toggleAttribute('checked', checked);
  box.disabled = true;
  box.setAttribute('aria-label', checked ? words.taskDone : words.taskOpen);
  return box;
}

function cursorElement(): HTMLElement {
  const element = document.createElement('span');
  element.className = 'cursor';
  element.setAttribute('aria-hidden', 'true');
  return element;
}
