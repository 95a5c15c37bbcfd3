/** Control messages of the router's interfaces for whoever asks: bounded in time, size and number. */
import { Readable } from 'node:stream';
import { SluiceError } from '../base/errors.js';
import type { Metrics } from '../base/metrics.js';
import type { ControlCapture, ControlCaptureOptions, ControlCaptureStatus } from '../plane/control-capture.js';

export interface ControlCaptureOrder {
  /** null: all of the router. */
  readonly interface: string | null;
  readonly durationMs: number;
  /** 0 for no limit. */
  readonly count: number;
}

/** Why one ended: its time is over, as many packets or bytes as it may have, who reads it is gone, the daemon ends. */
export type ControlCaptureEnd = 'duration' | 'limit' | 'reader' | 'daemon';

export interface ControlCaptureSummary extends Omit<ControlCaptureStatus, 'full'> {
  readonly end: ControlCaptureEnd;
}

/** What opens a capture, and what it is of. */
export interface ControlCaptureParts {
  readonly open: (options: ControlCaptureOptions) => ControlCapture;
  /** Those that the router has now. */
  readonly interfaces: () => readonly string[];
}

/** At once. */
const MOST = 4;
/** Twice as many as a routing table has. */
const MOST_INTERFACES = 64;
const MOST_BYTES = 64 * 2 ** 20;
const LOOK_MS = 50;
/** What was captured may be read so long after its time. */
const LATE_MS = 30_000;

/** The bytes of a pcapng, a chunk being whole blocks. What nobody reads in time is dropped by the kernel, and counted. */
export class ControlCaptureStream extends Readable {
  readonly #capture: ControlCapture;
  readonly #timers: NodeJS.Timeout[];
  #look: NodeJS.Timeout | undefined;
  #end: ControlCaptureEnd = 'reader';
  #stopping = false;

  constructor(capture: ControlCapture, durationMs: number) {
    super();
    this.#capture = capture;
    this.#timers = [
      setTimeout(() => this.#stop('duration'), durationMs),
      setTimeout(() => this.destroy(), durationMs + LATE_MS),
    ];
  }

  /** Ends it at once, with what has come. */
  stop(): void {
    this.#stop('daemon');
  }

  /** Of all, once it is closed. */
  summary(): ControlCaptureSummary {
    const { packets, bytes, dropped } = this.#capture.status();
    return { packets, bytes, dropped, end: this.#end };
  }

  #stop(why: ControlCaptureEnd): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#end = why;
    this.#capture.stop();
  }

  override _read(): void {
    const piece = this.#capture.read();
    if (this.#capture.status().full) this.#stop('limit');
    if (piece.length > 0) {
      this.push(piece);
    } else if (this.#stopping) {
      this.push(this.#capture.finish());
      this.push(null);
    } else {
      this.#look = setTimeout(() => this._read(), LOOK_MS);
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    for (const timer of [...this.#timers, this.#look]) clearTimeout(timer);
    this.#capture.close();
    done(error);
  }
}

export class ControlCaptures {
  readonly #running = new Set<ControlCaptureStream>();
  #dropped = 0;

  constructor(private readonly parts: ControlCaptureParts) {}

  /** Offers how many messages were dropped; returns the function that takes that away. */
  offer(metrics: Metrics): () => void {
    return metrics.counter({
      name: 'sluice_control_capture_drops_total',
      help: 'Control messages missing in captures, as nobody read them in time.',
      read: () => [{ labels: {}, value: this.#dropped }],
    });
  }

  /**
   * Begins one; whoever has it reads it to the end, or destroys it.
   * @throws SluiceError NOT_FOUND, CAPTURE_LIMIT, INTERFACE_UNKNOWN, SYSTEM_CALL
   */
  open({ interface: name, durationMs, count }: ControlCaptureOrder): ControlCaptureStream {
    const known = this.parts.interfaces();
    if (known.length === 0) throw new SluiceError('NOT_FOUND', 'nothing is routed (interfaces:)', { known });
    if (name !== null && !known.includes(name))
      throw new SluiceError('NOT_FOUND', `the router has no interface ${name}`, { interface: name, known });
    if (this.#running.size >= MOST)
      throw new SluiceError('CAPTURE_LIMIT', `${MOST} captures run already`, { most: MOST, status: 429 });
    const interfaces = name === null ? known.slice(0, MOST_INTERFACES) : [name];
    const capture = this.parts.open({ interfaces, maxPackets: count, maxBytes: MOST_BYTES, application: 'sluice' });
    const stream = new ControlCaptureStream(capture, durationMs);
    this.#running.add(stream);
    stream.once('close', () => {
      this.#running.delete(stream);
      this.#dropped += stream.summary().dropped;
    });
    return stream;
  }

  /** Ends all that run, each with what has come. */
  stop(): void {
    for (const one of this.#running) one.stop();
  }
}
