import type { LiveSnapshot } from '../model.js';

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;
/** Snapshots come once a second: after this long without one the connection is taken for dead. */
const SILENCE_MS = 5000;

/** What the page wants to know about its connection. */
export interface LiveEvents {
  snapshot(snapshot: LiveSnapshot): void;
  /** Connected, or not and when it will be tried again (ms from now). */
  connected(): void;
  lost(retryMs: number): void;
}

/** Keeps a websocket to the daemon, through its restarts, for as long as the page is open. */
export class Live {
  #attempts = 0;
  #socket: WebSocket | undefined;
  #silence = 0;

  constructor(
    private readonly url: string,
    private readonly events: LiveEvents,
  ) {}

  /** Connects; from then on it stays connected. */
  start(): void {
    this.#connect();
  }

  #connect(): void {
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#watch();
    socket.addEventListener('message', ({ data }) => {
      if (this.#attempts !== -1) this.events.connected();
      this.#attempts = -1;
      this.#watch();
      this.events.snapshot(JSON.parse(String(data)) as LiveSnapshot);
    });
    socket.addEventListener('close', () => this.#retry(socket));
  }

  #watch(): void {
    window.clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => {
      const socket = this.#socket;
      socket?.close();
      if (socket !== undefined) this.#retry(socket);
    }, SILENCE_MS);
  }

  /** A closing handshake with a dead peer can take a minute: the next attempt does not wait for it. */
  #retry(closed: WebSocket): void {
    if (closed !== this.#socket) return;
    this.#socket = undefined;
    window.clearTimeout(this.#silence);
    this.#attempts += 1;
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempts);
    const wait = longest / 2 + (Math.random() * longest) / 2;
    this.events.lost(wait);
    window.setTimeout(() => this.#connect(), wait);
  }
}
