/**
 * Collects the pieces of an answer and hands them on once per animation frame. A hidden page has no
 * frames, but its words must be saved too: there a timer hands them on, a little later.
 */
export class FrameBuffer {
  private text = '';
  private cancel: (() => void) | null = null;

  constructor(
    private readonly draw: (text: string) => void,
    /** Schedules one run; returns how to take it back. */
    private readonly schedule: (run: () => void) => () => void = nextFrame,
  ) {}

  add(text: string): void {
    this.text += text;
    this.cancel ??= this.schedule(() => this.flush());
  }

  flush(): void {
    this.cancel?.();
    this.cancel = null;
    const { text } = this;
    this.text = '';
    if (text !== '') this.draw(text);
  }
}

/** Much longer than a frame: the timer only matters where frames do not come. */
const WITHOUT_FRAMES_MS = 250;

function nextFrame(run: () => void): () => void {
  const frame = requestAnimationFrame(run);
  const timer = setTimeout(run, WITHOUT_FRAMES_MS);
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}
