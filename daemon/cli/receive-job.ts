/** What `sluice receive` was asked for. */
import { systemClock } from '../base/clock.js';
import { describeError, SluiceError } from '../base/errors.js';
import { duration, parseEndpoint } from '../config/units.js';
import type { Numbering, RangeSource, RepairOptions } from '../plane/contract.js';
import { LONGEST_DESCRIPTION, readMulticast } from '../protocols/sdp/read.js';
import { type DatagramLocation, parseMediaUrl } from '../streams/media-url.js';
import { isHttpUrl } from '../streams/repair-settings.js';
import { Guide } from '../streams/source/guide.js';
import { Resolver } from '../streams/source/resolver.js';
import { UpstreamRules } from '../streams/source/upstream-rules.js';
import { VERSION } from './root.js';

const MAX_REORDER_MS = 2000;
/** What is fetched; any other HTTP is for sources of channels. */
const DESCRIPTION = /^https?:\/\/[^?#]*\.sdp(?:[?#]|$)/i;
const DESCRIPTION_TIMEOUT_MS = 5000;

/** The options as they were given. */
export interface Flags {
  readonly output?: string;
  readonly record?: string;
  readonly stats?: true;
  readonly json?: true;
  readonly duration?: string;
  readonly reorder: string;
  readonly iface?: string;
  readonly numbering: Numbering;
  readonly repair?: true;
  readonly retransmission?: string;
  readonly tokens?: true;
  readonly rapid?: true;
  readonly range?: string;
  readonly playout: string;
}

/** The same, checked. */
export interface Job {
  readonly location: DatagramLocation;
  readonly output: string | undefined;
  readonly record: string | undefined;
  readonly report: boolean;
  readonly json: boolean;
  readonly durationMs: number | undefined;
  readonly reorderMs: number;
  readonly numbering: Numbering;
  readonly repair: RepairOptions | null;
}

/**
 * Checks what was given; fetches the description where the URL is one.
 * @throws SluiceError USAGE
 */
export async function readArguments(url: string, flags: Flags): Promise<Job> {
  if (flags.output === '-' && process.stdout.isTTY) {
    throw new SluiceError('USAGE', 'receive: expected a pipe for -o -, standard output is a terminal');
  }
  const json = flags.json === true;
  const { location, numbering, repair } = DESCRIPTION.test(url)
    ? await readDescribed(url, flags)
    : await readLocation(url, flags);
  return {
    location,
    output: flags.output,
    record: flags.record,
    report: flags.stats === true || flags.output === undefined,
    json,
    durationMs: flags.duration === undefined ? undefined : readTime('--duration', flags.duration, 1, 86_400_000),
    reorderMs: readTime('--reorder', flags.reorder, 0, MAX_REORDER_MS),
    numbering,
    repair,
  };
}

type Where = Pick<Job, 'location' | 'numbering' | 'repair'>;

async function readLocation(url: string, flags: Flags): Promise<Where> {
  const parsed = parseMediaUrl(url);
  if ('expected' in parsed) throw new SluiceError('USAGE', `receive: ${parsed.expected} (got "${url}")`, { url });
  const { location } = parsed;
  if (location.kind === 'http')
    throw new SluiceError(
      'USAGE',
      `receive: expected rtp:// or udp://, HTTP is for descriptions (.sdp) and sources of channels (got "${url}")`,
      { url },
    );
  const { numbering } = flags;
  return { location, numbering, repair: await readRepair(flags, numbering === 'field' ? 'rtp' : location.kind) };
}

/** What a description names is repaired with all that it announces. */
async function readDescribed(url: string, flags: Flags): Promise<Where> {
  const session = readMulticast(await fetchDescription(url));
  if (typeof session === 'string') throw new SluiceError('USAGE', `receive: ${url}: ${session}`, { url });
  const { address, port, source, numbering, fec, feedback: target, tokens, acquisition } = session;
  const interfaceName = flags.iface ?? null;
  const location: DatagramLocation = { kind: 'rtp', address, port, source, interfaceName, display: url };
  const asked = await readRepair(flags, 'rtp');
  const range = asked?.range ?? (session.range === null ? null : await rangeSource(session.range, url));
  const feedback = asked?.feedback ?? target;
  if (asked === null && !fec && feedback === null && range === null) return { location, numbering, repair: null };
  const means = asked?.feedback ? asked : { fec: asked?.fec ?? fec, feedback, tokens, acquisition };
  const repair = { ...means, range, playoutMs: playoutOf(flags), leastPlayoutMs: 0, ditherMs: 0 };
  return { location, numbering, repair };
}

async function fetchDescription(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DESCRIPTION_TIMEOUT_MS), redirect: 'error' });
    if (!response.ok)
      throw new SluiceError('USAGE', `receive: expected a description, ${url} answers ${response.status}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > LONGEST_DESCRIPTION)
        throw new SluiceError(
          'USAGE',
          `receive: expected a description, ${url} gives more than ${LONGEST_DESCRIPTION} bytes`,
        );
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError(
      'USAGE',
      `receive: ${url} cannot be read: ${describeError(error)}`,
      { url },
      { cause: error },
    );
  }
}

/** The way to an HTTP URL, absolute or relative to the description that names it. */
async function rangeSource(text: string, base?: string): Promise<RangeSource> {
  const url = URL.canParse(text, base) ? new URL(text, base).href : '';
  if (!isHttpUrl(url))
    throw new SluiceError('USAGE', `receive: --range: expected an http:// or https:// URL (got "${text}")`, { text });
  const rules = new UpstreamRules(undefined, undefined, [url]);
  return new Guide(new Resolver(systemClock), rules, `Sluice/${VERSION}`).endpoint(url);
}

async function readRepair(flags: Flags, kind: 'rtp' | 'udp'): Promise<RepairOptions | null> {
  const playoutMs = playoutOf(flags);
  const { retransmission, range } = flags;
  if (flags.tokens === true && retransmission === undefined)
    throw new SluiceError('USAGE', 'receive: expected --retransmission with --tokens');
  if (flags.rapid === true && retransmission === undefined)
    throw new SluiceError('USAGE', 'receive: expected --retransmission with --rapid');
  if (flags.repair !== true && retransmission === undefined && range === undefined) return null;
  if (kind !== 'rtp')
    throw new SluiceError('USAGE', 'receive: expected rtp:// with --repair, plain MPEG-TS has no numbers');
  const feedback = retransmission === undefined ? null : parseEndpoint(retransmission);
  if (feedback === undefined || feedback?.port === 0) {
    const expected = 'expected ADDRESS:PORT with a numeric address, such as 192.0.2.1:5008';
    throw new SluiceError('USAGE', `receive: --retransmission: ${expected} (got "${retransmission}")`);
  }
  const [tokens, acquisition] = [flags.tokens === true, flags.rapid === true];
  const from = range === undefined ? null : await rangeSource(range);
  return { fec: true, feedback, tokens, acquisition, range: from, playoutMs, leastPlayoutMs: 0, ditherMs: 0 };
}

function playoutOf(flags: Flags): number {
  return readTime('--playout', flags.playout, 10, 10_000);
}

/** A duration with a unit, or a bare number of seconds. */
function readTime(option: string, text: string, min: number, max: number): number {
  const result = duration({ min, max }).safeParse(/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);
  if (result.success) return result.data;
  throw new SluiceError(
    'USAGE',
    `receive: ${option}: ${result.error.issues[0]?.message ?? 'expected a duration'} (got "${text}")`,
  );
}
