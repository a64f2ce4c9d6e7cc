/**
 * Collects the pieces of an answer and hands them on once per animation frame.
 *
 * A hidden page gets no animation frames: its words wait here until it is seen again or flushed.
 */
export class FrameBuffer {
  private text = '';
  private request: number | null = null;

  constructor(
    private readonly draw: (text: string) => void,
    private readonly schedule: (run: () => void) => number = (run) => requestAnimationFrame(run),
    private readonly unschedule: (request: number) => void = (id) => cancelAnimationFrame(id),
  ) {}

  add(text: string): void {
    this.text += text;
    this.request ??= this.schedule(() => this.flush());
  }

  flush(): void {
    this.discardRequest();
    const { text } = this;
    this.text = '';
    if (text !== '') this.draw(text);
  }

  discard(): void {
    this.discardRequest();
    this.text = '';
  }

  private discardRequest(): void {
    if (this.request !== null) this.unschedule(this.request);
    this.request = null;
  }
}
