/**
 * Reads answers aloud, by the voices that the system itself has. Other voices of a browser send the
 * text to their maker, so they are never used.
 */

import type { MessageId } from './wire';

/** Some browsers stop in the middle of a long text. */
const LONGEST_CHARACTERS = 200;
const HAN = /\p{Script=Han}/u;

export class Speaking {
  /** The message that is read. */
  current = $state<MessageId | null>(null);
  private voices = $state.raw<readonly SpeechSynthesisVoice[]>([]);

  constructor(
    private readonly synthesis: SpeechSynthesis | undefined = globalThis.speechSynthesis,
  ) {
    this.look();
    // Browsers find their voices some time after the page is there.
    this.synthesis?.addEventListener?.('voiceschanged', () => this.look());
  }

  /** Whether there is a voice for the language of a text. */
  canRead(text: string): boolean {
    return this.voiceFor(text) !== undefined;
  }

  read(id: MessageId, text: string): void {
    const voice = this.voiceFor(text);
    if (!this.synthesis || !voice) return;
    this.stop();
    this.current = id;
    const parts = sentences(text);
    parts.forEach((part, at) => {
      const utterance = new SpeechSynthesisUtterance(part);
      utterance.voice = voice;
      utterance.lang = voice.lang;
      const isLast = at === parts.length - 1;
      if (isLast) utterance.onend = () => this.current === id && (this.current = null);
      this.synthesis?.speak(utterance);
    });
  }

  stop(): void {
    this.current = null;
    this.synthesis?.cancel();
  }

  private voiceFor(text: string): SpeechSynthesisVoice | undefined {
    const language = HAN.test(text) ? 'zh' : 'en';
    return this.voices.find(({ lang }) => lang.toLowerCase().startsWith(language));
  }

  private look(): void {
    this.voices = this.synthesis?.getVoices().filter(({ localService }) => localService) ?? [];
  }
}

/** A text in pieces that end where a voice pauses. */
export function sentences(text: string): string[] {
  const whole = text.match(/[^.!?。！？\n]+[.!?。！？\n]*/gu) ?? [];
  return whole.flatMap((sentence) => {
    const pieces: string[] = [];
    for (let rest = sentence.trim(); rest !== '';) {
      const piece = [...rest].slice(0, LONGEST_CHARACTERS).join('');
      pieces.push(piece);
      rest = rest.slice(piece.length);
    }
    return pieces;
  });
}
