/** What an operator can set of one flow: what comes in, and where it goes. */
import { z } from 'zod';
import { smoothingSchema } from '../config/smoothing.js';
import { bytes, id, integer, interfaceName, microseconds } from '../config/units.js';
import { codePoint } from './code-point.js';
import { destination, inputPlace, isGroup, openEndpoint, sameFamily } from './places.js';

const KIB = 2 ** 10;
const MIB = 2 ** 20;

/** Most receivers of one flow, and of one call of the API. */
export const MAX_RECEIVERS = 10_000;

const ssrc = integer({ min: 0, max: 0xffff_ffff });

/** Whether packets pass. */
export const gate = z.enum(['open', 'closed'], { error: 'expected open or closed' });

/** Turns what may be negative into what is added modulo 2^bits. */
const offset = (bits: number): z.ZodPipe<z.ZodNumber, z.ZodTransform<number, number>> =>
  integer({ min: 1 - 2 ** bits, max: 2 ** bits - 1 }).transform((value) => (value + 2 ** bits) % 2 ** bits);

export const receiverSchema = z
  .strictObject({
    id,
    to: destination.describe('ADDRESS:PORT, IPv6 in brackets; a host or a group.'),
    from: openEndpoint
      .optional()
      .describe('Source address, or ADDRESS:PORT; by the route, and a free port shared with others, when absent.'),
    dscp: codePoint.default(34).describe('Differentiated services code point, by number or name: EF, AF41, CS5.'),
    ssrc: ssrc.optional().describe("RTP synchronisation source that it sees; the flow's when absent."),
    payload_type: integer({ min: 0, max: 127 }).optional().describe("RTP payload type; the flow's when absent."),
    sequence_offset: offset(16).default(0).describe('Added to RTP sequence numbers.'),
    timestamp_offset: offset(32).default(0).describe('Added to RTP timestamps.'),
    gate: gate.default('open').describe('Whether it gets packets from the start.'),
    rtcp_port: integer({ min: 1, max: 65_535 })
      .optional()
      .describe('Where its RTCP goes; as `rtcp` of the flow says when absent.'),
    interface: interfaceName.optional().describe('Interface to send to a group from; the route decides when absent.'),
    ttl: integer({ min: 1, max: 255 }).optional().describe('Time to live; 64 when absent, 8 for groups.'),
  })
  .superRefine(({ to, from, interface: name }, context) => {
    if (from !== undefined && !sameFamily(from, to))
      context.addIssue({ code: 'custom', path: ['from'], message: 'expected an address of the same family as `to`' });
    if (name !== undefined && !isGroup(to))
      context.addIssue({
        code: 'custom',
        path: ['interface'],
        message: 'expected no interface: the route decides where packets to a host leave',
      });
  });

const history = bytes({ min: 0, max: 1024 * MIB })
  .transform((size) => (size === 0 ? 0 : Math.max(64 * KIB, 2 ** Math.ceil(Math.log2(size)))))
  .prefault('0B')
  .describe('Rolling store of the past, for gates that open with a pre-buffer; rounded up to a power of two.');

const flowShape = z.strictObject({
  id,
  input: inputPlace
    .optional()
    .describe('rtp://ADDRESS:PORT or udp://ADDRESS:PORT: own address, 0.0.0.0, or a group to join.'),
  channel: z
    .string({ error: 'expected CHANNEL/RENDITION' })
    .regex(/^[a-z0-9][a-z0-9-]{0,62}\/[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected CHANNEL/RENDITION' })
    .optional()
    .describe("Instead of an input: the RTP of a channel's rendition."),
  source: openEndpoint
    .optional()
    .describe('Of a group: the source of a source-specific join; else the only sender listened to. ADDRESS[:PORT].'),
  interface: interfaceName.optional().describe('Where a group is joined; the route decides when absent.'),
  ssrc: ssrc.optional().describe('Only packets of this RTP source: several flows may share one port.'),
  clock_rate: integer({ min: 1000, max: 192_000 }).default(90_000).describe('RTP clock in Hz; 8000 for most voice.'),
  history,
  batch_wait: microseconds({ min: 0, max: 2000 })
    .prefault('0us')
    .describe('How long packets are gathered to leave together; 0us: what came together.'),
  priority: integer({ min: 0, max: 7 }).default(4).describe('At overload flows of the lowest are shed first.'),
  smoothing: smoothingSchema.default(null).describe('Pacing of a flow whose rate varies; off when absent.'),
  rtcp: z
    .enum(['mux', 'port', 'off'], { error: 'expected mux, port or off' })
    .default('off')
    .describe('mux: on the media ports (RFC 5761); port: on those above; off: none.'),
  batching: z.enum(['auto', 'segment', 'sendmmsg', 'plain']).default('auto').describe('How packets reach the kernel.'),
  receive_buffer: bytes({ min: 64 * KIB, max: 256 * MIB })
    .prefault('8MiB')
    .describe("The kernel's buffer of the input; of flows on one port that of the first counts."),
  loop: integer({ min: 0, max: 63 })
    .optional()
    .describe('Loop of the plane that carries it; the one with the least to do when absent.'),
  receivers: z
    .array(receiverSchema)
    .max(MAX_RECEIVERS, { error: `expected at most ${MAX_RECEIVERS} receivers` })
    .default([]),
});

/** Checked by itself; what flows are to each other is not. */
export const flowSchema = flowShape.superRefine((flow, context) => {
  for (const { path, message } of faultsOf(flow)) context.addIssue({ code: 'custom', path: [...path], message });
});

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

export type FlowConfig = Frozen<z.output<typeof flowShape>>;
export type FlowReceiverConfig = Frozen<z.output<typeof receiverSchema>>;

/** What is wrong, and where below the flow. */
export interface Fault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What does not fit together within a flow. */
export function faultsOf(flow: FlowConfig): Fault[] {
  return [...inputFaults(flow), ...mediaFaults(flow), ...rtcpFaults(flow)];
}

function inputFaults({ input, channel, source, interface: name, loop }: FlowConfig): Fault[] {
  if ((input === undefined) === (channel === undefined))
    return [{ path: ['input'], message: 'expected either input or channel, exactly one of them' }];
  const faults: Fault[] = [];
  if (source !== undefined && (input === undefined || !sameFamily(source, input)))
    faults.push({ path: ['source'], message: 'expected a source of the same address family as the input' });
  if (name !== undefined && (input === undefined || !isGroup(input)))
    faults.push({ path: ['interface'], message: 'expected no interface: it is for the join of a group' });
  if (loop !== undefined && channel !== undefined)
    faults.push({ path: ['loop'], message: "expected no loop: a flow of a channel is on its stream's" });
  return faults;
}

/** What is about RTP makes no sense where headers are not read. */
function mediaFaults({ input, ssrc: only, rtcp, receivers }: FlowConfig): Fault[] {
  if (input?.media !== 'udp') return [];
  const says = (key: string): string => `expected no ${key}: a flow of udp:// is handed on as it is`;
  const faults: Fault[] = [];
  if (only !== undefined) faults.push({ path: ['ssrc'], message: says('ssrc') });
  if (rtcp !== 'off') faults.push({ path: ['rtcp'], message: says('rtcp') });
  receivers.forEach((receiver, at) => {
    for (const key of ['ssrc', 'payload_type', 'sequence_offset', 'timestamp_offset'] as const)
      if ((receiver[key] ?? 0) !== 0) faults.push({ path: ['receivers', at, key], message: says(key) });
  });
  return faults;
}

/** RFC 3550 section 11: media on an even port, RTCP on the odd one above. */
function rtcpFaults({ input, rtcp, receivers }: FlowConfig): Fault[] {
  if (rtcp !== 'port') return [];
  const message = 'expected an even port, since rtcp is "port": RTCP takes the odd one above (RFC 3550 section 11)';
  const faults: Fault[] = [];
  if (input !== undefined && input.port % 2 !== 0) faults.push({ path: ['input'], message });
  receivers.forEach(({ to, rtcp_port: own }, at) => {
    if (own === undefined && to.port % 2 !== 0) faults.push({ path: ['receivers', at, 'to'], message });
  });
  return faults;
}
