/** The chat page as a person uses it. */

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

  /** Writes and presses Enter once the page would send. */
  async say(text: string): Promise<void> {
    await this.field.fill(text);
    await this.page.locator('button.turn:not(.stop):enabled').waitFor();
    await this.field.press('Enter');
    await this.questions
      .last()
      .filter({ hasText: text.slice(0, 40).split('\n')[0]! })
      .waitFor();
  }

  /** Writes and presses the button that sends: on a phone Enter starts a line. */
  async press(text: string): Promise<void> {
    await this.field.fill(text);
    const pressed = async () => {
      // Right after an answer has ended, the place where Stop was ignores presses for a moment.
      if (await this.send.isEnabled()) await this.send.click();
      return this.field.inputValue();
    };
    await expect.poll(pressed, { timeout: 10_000 }).toBe('');
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
    await message.hover();
    await message.getByRole('button', { name: 'More actions' }).click();
    await this.page.getByRole('menuitem', { name: action }).click();
  }

  /** What is done in the page's menu. */
  async inMenu(action: string | RegExp): Promise<void> {
    await this.page.getByRole('button', { name: /^(Menu|菜单)$/ }).click();
    const menu = this.page.getByRole('menu');
    await menu.locator('[role^=menuitem]').filter({ hasText: action }).click();
  }

  async newConversation(): Promise<void> {
    await this.page.locator('header').getByRole('button', { name: 'New conversation' }).click();
  }

  /** Waits until the last answer shows `text`. */
  async shows(text: string): Promise<void> {
    await this.answers.last().filter({ hasText: text }).waitFor();
  }
}
