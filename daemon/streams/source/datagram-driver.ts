import { SluiceError } from '../../base/errors.js';
import type { InputCounters, InputHandle, RangeSource } from '../../plane/contract.js';
import { type DatagramLocation, displayUrl } from '../media-url.js';
import { type NumberedConfig, repairOptionsOf } from '../repair-settings.js';
import type { Attempt, Driver, SourceContext } from './attempt.js';

const POLL_MS = 250;
/** Silence after which the source counts as failed; the group is joined anew then, since its interface may have gone. */
const STALL_MS = 3_000;
const REORDER_MS = 50;

/** Plays MPEG-TS that comes in datagrams, with or without RTP: opens the input and watches that something comes. */
export class DatagramDriver implements Driver {
  readonly kind: 'rtp' | 'udp';
  readonly skipped = 0;
  readonly #context: SourceContext;
  readonly #location: DatagramLocation;
  readonly #rtp: NumberedConfig;
  #input: InputHandle | null = null;

  constructor(context: SourceContext, location: DatagramLocation, { numbering, repair }: NumberedConfig) {
    this.#context = context;
    this.#location = location;
    // Plain MPEG-TS has no numbers by which anything could be missed.
    const numbered = location.kind === 'rtp' || numbering === 'field';
    this.#rtp = { numbering, repair: numbered ? repair : undefined };
    this.kind = location.kind;
  }

  /** Counters of the open input where it repairs, else null. */
  get repairs(): InputCounters | null {
    if (this.#input === null || this.#rtp.repair === undefined) return null;
    return this.#context.plane.inputCounters(this.#input);
  }

  leave(): void {}

  head(): void {}

  async play(attempt: Attempt): Promise<never> {
    const { plane, stream } = this.#context;
    const { address, port, source, interfaceName } = this.#location;
    if (this.#context.counters().bytesIn > 0) plane.spliceStream(stream);
    const { numbering } = this.#rtp;
    const repair = repairOptionsOf(this.#rtp.repair, await this.#range());
    attempt.signal.throwIfAborted();
    const where = { address, port, source, interfaceName };
    const input = plane.addInput(stream, { ...where, reorderMs: REORDER_MS, numbering, repair });
    this.#input = input;
    try {
      return await this.#watch(input, attempt);
    } finally {
      this.#input = null;
      plane.removeInput(input);
    }
  }

  /** Where packets are fetched from. The last resort is not to keep the source from playing. */
  async #range(): Promise<RangeSource | null> {
    const { range } = this.#rtp.repair ?? {};
    if (range === undefined) return null;
    try {
      return await this.#context.guide.endpoint(range);
    } catch (error) {
      const { display: source } = this.#location;
      this.#context.log.warn({ source, range: displayUrl(range), err: error }, 'packets cannot be fetched by HTTP');
      return null;
    }
  }

  async #watch(input: InputHandle, attempt: Attempt): Promise<never> {
    const { clock, plane } = this.#context;
    let packets = this.#context.counters().tsPacketsIn;
    let heardAt = clock.now();
    for (;;) {
      await clock.delay(POLL_MS, attempt.signal);
      const { tsPacketsIn } = this.#context.counters();
      if (tsPacketsIn > packets) {
        packets = tsPacketsIn;
        heardAt = clock.now();
        attempt.flowing();
      } else if (clock.now() - heardAt >= STALL_MS) throw silent(this.#location, plane.inputCounters(input));
    }
  }
}

function silent(location: DatagramLocation, counters: InputCounters): SluiceError {
  const got = counters.malformed > 0 ? `${counters.malformed} datagrams that are no MPEG-TS` : 'nothing';
  return new SluiceError(
    'SOURCE_STALLED',
    `expected MPEG-TS from ${location.display}, got ${got} for ${STALL_MS / 1000} s`,
    {
      packets: counters.packets,
      malformed: counters.malformed,
    },
  );
}
