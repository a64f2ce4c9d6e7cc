/**
 * The connection to the server: finds out whether it can answer, opens a socket, says `hello`, and
 * comes back after any failure. Where no WebSocket comes through, a stream takes its place. It knows
 * nothing of conversations.
 *
 * A browser does not say why a WebSocket was refused, so HTTP is asked first: whether a key is
 * needed, whether the model is still loading, or whether nobody is there.
 */

import type { Phase } from '../conversation/types';
import type { Entrance, Entry } from './api';
import {
  type Carrier,
  CLOSE_FULL,
  CLOSE_TOO_LONG,
  CLOSE_WITHOUT_WORD,
  type Opener,
} from './carrier';
import { type Clock, Reconnect } from './reconnect';
import { readEvent, type Received, type Sent, writeEvent } from './v1';
import type { Info, Welcome } from '../wire';

export interface LinkEvents {
  phase(phase: Phase): void;
  info(info: Info): void;
  /** A new socket is open, and the server has told who it is. */
  welcome(welcome: Welcome): void;
  event(event: Received): void;
  /** An open socket closed: no more events will come on it. */
  lost(): void;
  /** The server has closed the socket because a frame was longer than it takes. */
  frameTooLong(): void;
}

/** How often a loading server is asked again. */
const LOADING_POLL_MS = 500;
/** A connection that lived this long was a good one. */
const PROVEN_MS = 5_000;
/** A handshake that hangs longer than this is given up. */
const OPEN_PATIENCE_MS = 10_000;
/** After this long without an event the page asks whether the server is still there. */
const SILENCE_MS = 25_000;
/** How long the reply to that question may take. */
const PONG_PATIENCE_MS = 10_000;
/**
 * After so many handshakes that came to nothing, although the server answers requests, something in
 * between lets no WebSocket through.
 */
const HANDSHAKES = 2;

export class Link {
  /** A socket, or a stream in its place. */
  private carrier: Carrier | null = null;
  /** Handshakes in a row that came to nothing although the server answers requests. */
  private failedHandshakes = 0;
  /** Raised by every new try, so that the late result of an older one is recognised. */
  private attempt = 0;
  private readonly reconnect: Reconnect;
  /** Runs out when nothing has come for too long. */
  private silence: number | null = null;

  constructor(
    /** How a carrier is opened, and how if that comes to nothing. */
    private readonly openers: readonly [Opener, Opener?],
    private readonly entrance: Entrance,
    private readonly events: LinkEvents,
    private readonly clock: Clock,
  ) {
    this.reconnect = new Reconnect(clock, () => void this.connect());
  }

  /** Connects now, in place of any scheduled try. */
  start(): void {
    this.reconnect.now();
  }

  /** Makes no scheduled try: somebody signs in meanwhile. */
  hold(): void {
    this.reconnect.stop();
  }

  /** Lets go of the server for good. */
  end(): void {
    this.attempt += 1;
    this.hold();
    this.detach();
  }

  /** Returns whether the event was handed to an open socket. */
  send(event: Sent): boolean {
    if (!this.carrier?.isOpen) return false;
    this.carrier.send(writeEvent(event));
    return true;
  }

  /**
   * Makes sure that an open socket still leads somewhere: a phone that changed networks may never
   * hear that its connection is gone. A slow answer alone is no sign of that. What the server has
   * loaded may have changed meanwhile, too.
   */
  async probe(): Promise<void> {
    const { carrier } = this;
    if (!carrier) return this.start();
    const entry = await this.entrance.enter();
    if (this.carrier !== carrier) return;
    if (entry.kind === 'ready') this.tellInfo(entry.info);
    if (entry.kind === 'away') this.drop({ kind: 'waiting', reason: 'away' });
  }

  private async connect(): Promise<void> {
    this.attempt += 1;
    const { attempt } = this;
    this.detach();
    const entry = await this.entrance.enter();
    if (attempt !== this.attempt) return;
    this.follow(entry);
  }

  private follow(entry: Entry): void {
    switch (entry.kind) {
      case 'ready':
        this.tellInfo(entry.info);
        return this.open();
      case 'loading':
        this.events.phase({ kind: 'loading', progress: entry.progress });
        return this.reconnect.scheduleIn(LOADING_POLL_MS);
      case 'locked':
        return this.events.phase({ kind: 'locked', reason: 'needed' });
      case 'unreachable':
        return this.drop({ kind: 'waiting', reason: 'unreachable', detail: entry.detail });
      case 'stalled':
      case 'away':
        return this.drop({ kind: 'waiting', reason: entry.kind });
    }
  }

  private open(): void {
    const [openFirst, openSecond] = this.openers;
    const second = this.failedHandshakes >= HANDSHAKES ? openSecond : undefined;
    let openedAtMs: number | null = null;
    let hasHung = false;
    const carrier = (second ?? openFirst)({
      opened: () => this.send({ type: 'hello', ...this.entrance.hello() }),
      alive: () => this.waitForSilence(carrier),
      frame: (frame) => {
        const event = readEvent(frame);
        if (this.carrier !== carrier || !event) return;
        if (openedAtMs === null && isRefusal(event)) return this.lock();
        this.waitForSilence(carrier);
        if (event.type !== 'welcome') return this.events.event(event);
        this.clock.clearTimeout(patience);
        openedAtMs = performance.now();
        if (!second) this.failedHandshakes = 0;
        this.events.welcome(event);
        this.events.phase({ kind: 'open' });
      },
      closed: (code) => {
        this.clock.clearTimeout(patience);
        if (this.carrier !== carrier) return;
        if (openedAtMs === null && (hasHung || code === CLOSE_WITHOUT_WORD))
          this.failedHandshakes = second ? 0 : this.failedHandshakes + (hasHung ? HANDSHAKES : 1);
        const proven = openedAtMs !== null && performance.now() - openedAtMs >= PROVEN_MS;
        if (proven) this.reconnect.succeeded();
        if (code === CLOSE_TOO_LONG) this.events.frameTooLong();
        this.drop({ kind: 'waiting', reason: code === CLOSE_FULL ? 'full' : 'away' });
      },
    });
    const patience = this.clock.setTimeout(() => {
      hasHung = true;
      carrier.close();
    }, OPEN_PATIENCE_MS);
    this.carrier = carrier;
  }

  /**
   * Scripts do not see the server's pings, so after a while without events the page asks itself.
   */
  private waitForSilence(carrier: Carrier): void {
    const ask = () => {
      this.send({ type: 'ping' });
      this.silence = this.clock.setTimeout(giveUp, PONG_PATIENCE_MS);
    };
    const giveUp = () => {
      if (this.carrier === carrier) this.drop({ kind: 'waiting', reason: 'away' });
    };
    this.endSilence();
    this.silence = this.clock.setTimeout(ask, SILENCE_MS);
  }

  private endSilence(): void {
    if (this.silence !== null) this.clock.clearTimeout(this.silence);
    this.silence = null;
  }

  private tellInfo(info: Info | null): void {
    if (info) this.events.info(info);
  }

  /** Another try would be refused as well. */
  private lock(): void {
    if (this.detach()) this.events.lost();
    this.events.phase({ kind: 'locked', reason: 'needed' });
  }

  private drop(phase: Phase): void {
    if (this.detach()) this.events.lost();
    this.events.phase(phase);
    this.reconnect.schedule();
  }

  /** Lets go of the carrier, if there is one. */
  private detach(): boolean {
    const { carrier } = this;
    this.carrier = null;
    this.endSilence();
    carrier?.close();
    return carrier !== null;
  }
}

/** The reply to a hello whose key is wrong. */
function isRefusal(event: Received): boolean {
  return event.type === 'error' && event.code === 'unauthorized';
}
