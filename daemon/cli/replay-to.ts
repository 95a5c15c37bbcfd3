import { getSystemErrorName } from 'node:util';
import { SluiceError } from '../base/errors.js';
import { type Endpoint, formatEndpoint, interfaceName, ipAddress, parseEndpoint } from '../config/units.js';
import type {
  CaptureSummary,
  PlaneApi,
  PlaneEvent,
  ReplayCounters,
  ReplayHandle,
  ReplayTarget,
  UdpFlow,
} from '../plane/contract.js';
import { formatTable, print, printJson } from './output.js';
import { follow } from './progress.js';
import { Ending } from './supervise.js';

/** A replay needs no ring; the plane wants a budget all the same. */
const PLANE_MEMORY_BYTES = 1 << 20;
/** Flows that an error lists. */
const LISTED = 10;

export interface SendOptions {
  readonly to: string;
  /** 0 as fast as it can be sent. */
  readonly speed: number;
  /** 0 for without end. */
  readonly loop: number;
  readonly flow?: string;
  readonly rewriteMac?: true;
  /** The Ethernet address for unicast packets. */
  readonly mac?: string;
  readonly interface?: string;
  readonly ttl: number;
  readonly json?: true;
}

/** Where to: an address without a port takes the flow's own. */
type Destination =
  | { readonly kind: 'interface'; readonly name: string }
  | { readonly kind: 'address'; readonly address: string; readonly port: number | undefined };

/** `sluice replay --to`: a capture as it was captured, into a device or to an address. */
export async function send(file: string, options: SendOptions): Promise<void> {
  const destination = readDestination(options.to);
  checkUse(destination, options);
  const ending = new Ending();
  const { scanCapture } = await import('../plane/captures.js');
  const { createPlane } = await import('../plane/plane.js');
  const needsFlow = options.flow !== undefined || destination.kind === 'address';
  const flow = needsFlow ? chooseFlow(scanCapture(file), file, options.flow) : null;
  const plane = createPlane({ memoryBytes: PLANE_MEMORY_BYTES });
  try {
    const ended = endOf(plane);
    const replay = plane.addReplay({
      path: file,
      speed: options.speed,
      loops: options.loop,
      flow: flow === null ? null : endsOf(flow),
      target: targetOf(destination, flow, options),
    });
    const end = await follow(ended, ending, () => progress(plane.replayCounters(replay)));
    conclude(plane, replay, file, options, end);
  } finally {
    await plane.close();
  }
}

/** `sluice replay --list`: what a capture holds. */
export async function list(file: string, json: boolean): Promise<void> {
  const { scanCapture } = await import('../plane/captures.js');
  const summary = scanCapture(file);
  if (json) printJson(summary);
  else {
    print(`${file}: ${summary.packets} packets, ${summary.bytes} bytes, ${(summary.durationMs / 1000).toFixed(3)} s`);
    if (summary.flows.length > 0) print(formatTable(flowTable(summary.flows)));
  }
  if (summary.damage !== null) throw new SluiceError('CAPTURE_INVALID', summary.damage);
}

function flowTable(flows: readonly UdpFlow[]): Parameters<typeof formatTable>[0] {
  return {
    columns: ['flow', 'from', 'to', 'kind', 'packets', 'bytes', 'seconds'],
    rows: flows.map((flow, at) => ({
      flow: at + 1,
      from: formatEndpoint({ address: flow.source, port: flow.sourcePort }),
      to: formatEndpoint({ address: flow.destination, port: flow.port }),
      kind: flow.kind,
      packets: flow.packets,
      bytes: flow.bytes,
      seconds: Number((flow.durationMs / 1000).toFixed(3)),
    })),
  };
}

function readDestination(text: string): Destination {
  const endpoint = parseEndpoint(text);
  if (endpoint !== undefined && endpoint.port > 0) return { kind: 'address', ...endpoint };
  if (endpoint === undefined && ipAddress.safeParse(text).success)
    return { kind: 'address', address: text, port: undefined };
  if (endpoint === undefined && interfaceName.safeParse(text).success && !/[[\]]/.test(text))
    return { kind: 'interface', name: text };
  throw new SluiceError(
    'USAGE',
    `replay: --to: expected an interface, ADDRESS or ADDRESS:PORT with a numeric address (got "${text}")`,
  );
}

function checkUse(destination: Destination, options: SendOptions): void {
  if (options.mac !== undefined && options.rewriteMac !== true)
    throw new SluiceError('USAGE', 'replay: --mac: expected --rewrite-mac with it');
  if (destination.kind === 'address' && options.rewriteMac === true)
    throw new SluiceError('USAGE', 'replay: --rewrite-mac: expected --to with an interface, got an address');
  if (destination.kind === 'interface' && options.interface !== undefined)
    throw new SluiceError('USAGE', 'replay: --interface: expected --to with an address, got an interface');
}

/** The flow that is meant: by number, by destination, or the only one. */
function chooseFlow(summary: CaptureSummary, file: string, wanted: string | undefined): UdpFlow {
  const { flows } = summary;
  const endpoint = wanted === undefined ? undefined : parseEndpoint(wanted);
  const number = wanted !== undefined && /^\d{1,5}$/.test(wanted) ? Number(wanted) : undefined;
  if (wanted !== undefined && endpoint === undefined && number === undefined)
    throw new SluiceError('USAGE', `replay: --flow: expected a number of the list, or ADDRESS:PORT (got "${wanted}")`);
  const fit = flows.filter((flow, at) => (number === undefined ? goesTo(flow, endpoint) : at + 1 === number));
  if (fit.length === 1 && fit[0] !== undefined) return fit[0];
  if (flows.length === 0)
    throw new SluiceError(
      'CAPTURE_EMPTY',
      summary.damage ?? `${file}: expected UDP, got ${summary.packets} other packets`,
    );
  const got = wanted === undefined ? `${flows.length} flows` : `${fit.length} that are "${wanted}"`;
  const listed = flows.slice(0, LISTED).map((flow, at) => `${at + 1} ${describe(flow)}`);
  throw new SluiceError(
    'USAGE',
    `replay: --flow: expected one flow, got ${got}; there are: ${listed.join(', ')}${flows.length > LISTED ? ', …' : ''}`,
  );
}

function goesTo(flow: UdpFlow, endpoint: Endpoint | undefined): boolean {
  return endpoint === undefined || (flow.destination === endpoint.address && flow.port === endpoint.port);
}

function describe({ source, sourcePort, destination, port }: UdpFlow): string {
  return `${formatEndpoint({ address: source, port: sourcePort })} to ${formatEndpoint({ address: destination, port })}`;
}

function endsOf({ source, sourcePort, destination, port }: UdpFlow) {
  return { source, sourcePort, destination, port };
}

function targetOf(destination: Destination, flow: UdpFlow | null, options: SendOptions): ReplayTarget {
  if (destination.kind === 'interface') {
    return {
      kind: 'frames',
      interfaceName: destination.name,
      rewrite: options.rewriteMac === true,
      unicast: options.mac ?? null,
    };
  }
  return {
    kind: 'datagrams',
    address: destination.address,
    port: destination.port ?? flow?.port ?? 0,
    interfaceName: options.interface ?? null,
    ttl: options.ttl,
  };
}

type ReplayEnd = Extract<PlaneEvent, { type: 'replay-end' }>;

function endOf(plane: PlaneApi): Promise<ReplayEnd> {
  return new Promise((resolve) => {
    plane.onEvent((event) => {
      if (event.type === 'replay-end') resolve(event);
    });
  });
}

function progress({ packets, bytes, errors }: ReplayCounters): string {
  return `${packets} packets, ${bytes} bytes${errors > 0 ? `, ${errors} refused` : ''}`;
}

function conclude(
  plane: PlaneApi,
  replay: ReplayHandle,
  file: string,
  options: SendOptions,
  end: ReplayEnd | undefined,
): void {
  const { lastError, ...counters } = plane.replayCounters(replay);
  const reason = lastError === 0 ? null : getSystemErrorName(-lastError);
  const damage = end?.code === 'CAPTURE_INVALID' ? end.detail : null;
  if (options.json === true) printJson({ type: 'summary', file, to: options.to, ...counters, reason, damage });
  else process.stderr.write(`${summaryText(counters, reason)}\n`);
  if (damage !== null)
    throw new SluiceError('CAPTURE_INVALID', `${damage}; the ${counters.packets} packets before it were sent`);
  if (end !== undefined && end.code !== null) throw new SluiceError(end.code, `${file}: ${end.detail}`);
  if (reason !== null && counters.packets === 0)
    throw new SluiceError('SYSTEM_CALL', `replay: sending to ${options.to}: ${reason}`, { to: options.to });
}

function summaryText(counters: Omit<ReplayCounters, 'lastError'>, reason: string | null): string {
  const { packets, bytes, unsuitable, errors, loops, lateNsMax } = counters;
  const parts = [`${packets} packets (${bytes} bytes) sent`, `${(lateNsMax / 1e6).toFixed(3)} ms late at most`];
  if (loops > 1) parts.push(`${loops} times`);
  if (unsuitable > 0) parts.push(`${unsuitable} not sent: cut when captured, or of a kind that cannot be`);
  if (errors > 0) parts.push(`${errors} refused by the kernel (${reason ?? 'unknown'})`);
  return parts.join(', ');
}
