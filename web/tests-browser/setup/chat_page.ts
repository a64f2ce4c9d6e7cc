/**
 * The chat page as a person uses it, on a desktop and on a phone: there the button sends because
 * Enter starts a line, and the list of conversations is a drawer over the page.
 */

import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

export class ChatPage {
  readonly field: Locator;
  readonly send: Locator;
  readonly stop: Locator;
  readonly status: Locator;
  readonly answers: Locator;
  readonly questions: Locator;

  constructor(readonly page: Page) {
    this.field = page.getByRole('textbox', { name: 'Your message' });
    this.send = page.locator('button.turn').and(page.getByRole('button', { name: 'Send' }));
    this.stop = page.locator('button.turn').and(page.getByRole('button', { name: 'Stop' }));
    this.status = page.getByRole('status');
    this.answers = page.locator('article.assistant .answer');
    this.questions = page.locator('article.user .bubble');
  }

  async connected(): Promise<void> {
    await this.status.filter({ hasText: 'Connected' }).waitFor();
  }

  /** Writes and sends once the page would. */
  async say(text: string): Promise<void> {
    await this.hideDrawer();
    await this.field.fill(text);
    await this.page.locator('button.turn:not(.stop):enabled').waitFor();
    await this.submit();
    await this.questions
      .last()
      .filter({ hasText: text.slice(0, 40).split('\n')[0]! })
      .waitFor();
  }

  /** Sends what is in the field, now or when the answer has ended. */
  async submit(): Promise<void> {
    if (!(await this.isTouched())) return this.field.press('Enter');
    const sendNext = this.page.getByRole('button', { name: 'Send after this answer' });
    if (await sendNext.isVisible()) await sendNext.click();
    else await this.pressSend();
  }

  /** Sends what is in the editor of an earlier message. */
  async submitEdit(editor: Locator): Promise<void> {
    if (!(await this.isTouched())) return editor.press('Enter');
    const article = this.page.locator('article.user').filter({ has: editor });
    await article.getByRole('button', { name: 'Send' }).click();
  }

  /** Writes and presses the button that sends. */
  async press(text: string): Promise<void> {
    await this.hideDrawer();
    await this.field.fill(text);
    await this.pressSend();
  }

  private async pressSend(): Promise<void> {
    const pressed = async () => {
      // Right after an answer has ended, the place where Stop was ignores presses for a moment.
      if (await this.send.isEnabled()) await this.send.click();
      return this.field.inputValue();
    };
    await expect.poll(pressed, { timeout: 10_000 }).toBe('');
  }

  /** Whether the page is used with fingers. */
  private isTouched(): Promise<boolean> {
    return this.page.evaluate(() => matchMedia('(pointer: coarse)').matches);
  }

  /** Says something and returns the whole answer. */
  async ask(text: string): Promise<string> {
    await this.say(text);
    await this.answered();
    return this.lastAnswer();
  }

  /** No answer is being written. */
  async answered(): Promise<void> {
    await this.page.locator('[role="log"][aria-busy="false"]').waitFor();
  }

  async lastAnswer(): Promise<string> {
    return (await this.answers.last().innerText()).trim();
  }

  /** What is done in the menu of a message. */
  async inMenuOf(message: Locator, action: string): Promise<void> {
    await this.hideDrawer();
    await message.hover();
    await message.getByRole('button', { name: 'More actions' }).click();
    await this.page.getByRole('menuitem', { name: action }).click();
  }

  /** Deletes a question with its answers. */
  async deletePairOf(message: Locator): Promise<void> {
    await this.inMenuOf(message, 'Delete question and answers');
    await this.page.getByRole('menuitem', { name: 'Press again' }).click();
  }

  /** What is done in the page's menu. */
  async inMenu(action: string | RegExp): Promise<void> {
    await this.hideDrawer();
    await this.page.getByRole('button', { name: /^(Menu|菜单)$/ }).click();
    const menu = this.page.getByRole('menu');
    await menu.locator('[role^=menuitem]').filter({ hasText: action }).click();
  }

  async newConversation(): Promise<void> {
    await this.hideDrawer();
    await this.page.locator('header').getByRole('button', { name: 'New conversation' }).click();
  }

  /** Shows the list of conversations if it is not shown. */
  async list(): Promise<Locator> {
    const list = this.page.getByRole('navigation', { name: 'Conversations' });
    const show = this.page.getByRole('button', { name: 'Show the conversations' });
    if (!(await list.isVisible())) await show.click();
    await list.waitFor();
    return list;
  }

  /** The link of a conversation in the list. */
  async inList(title: string | RegExp): Promise<Locator> {
    return (await this.list()).getByRole('link', { name: title });
  }

  /** What is done in the menu of a conversation in the list. */
  async inListMenuOf(title: string, action: string): Promise<void> {
    await (await this.inList(title)).hover();
    await this.page.getByRole('button', { name: `Actions for “${title}”` }).click();
    await this.page.getByRole('menuitem', { name: action }).click();
  }

  /** Leaves the list where it lies over the page. */
  async hideDrawer(): Promise<void> {
    const drawer = this.page.getByRole('dialog', { name: 'Conversations' });
    if (!(await drawer.isVisible())) return;
    await this.page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'hidden' });
  }

  /** Waits until the last answer shows `text`. */
  async shows(text: string): Promise<void> {
    await this.answers.last().filter({ hasText: text }).waitFor();
  }
}
