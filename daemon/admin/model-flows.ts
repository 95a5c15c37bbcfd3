/** What the admin API says about flows; part of model.ts. */
import { z } from 'zod';
import type { FlowStatus, ReceiverStatus } from '../flows/status.js';
import { FLOW_COUNTERS, PORT_COUNTERS } from '../plane/contract.js';

const text = z.string();
const count = z.number();
const origin = z.enum(['file', 'api']).describe('api: lasts over reloads, not over a restart');

function counters<Name extends string>(names: readonly Name[]): z.ZodObject<Record<Name, z.ZodNumber>> {
  return z.object(Object.fromEntries(names.map((name) => [name, count])) as Record<Name, z.ZodNumber>);
}

/** One flow. */
export const flowStatus = z
  .object({
    id: text,
    origin,
    state: z
      .enum(['flowing', 'silent', 'failed'])
      .describe('flowing: packets came within two seconds; failed: could not be set up, and is tried again'),
    code: text.nullable().describe('stable error code while failed'),
    reason: text.nullable(),
    input: text.describe('rtp://ADDRESS:PORT, udp://ADDRESS:PORT, or CHANNEL/RENDITION'),
    source: text.nullable(),
    interface: text.nullable(),
    ssrc: count.nullable().describe('the only RTP source that is listened to'),
    rtcp: z.enum(['mux', 'port', 'off']),
    priority: count,
    loop: count.nullable(),
    receivers: count.describe('gauge: its own, wherever they listen'),
    receiversOpen: count.describe('gauge'),
    receiversFailed: count.describe('gauge: could not be set up, and are tried again'),
    rates: z
      .object({ packetsIn: count, packetsOut: count, bitsIn: count, bitsOut: count })
      .describe('gauges: a second'),
    lastInputAgeMs: count.nullable().describe('gauge: since the last packet; null before the first'),
    counters: counters(FLOW_COUNTERS).describe('since it was set up'),
    port: counters(PORT_COUNTERS).nullable().describe('of the port that it comes in on, which others may share'),
  })
  .meta({ id: 'Flow' });

const receptionReport = z
  .object({
    fractionLost: count.describe('0 to 1'),
    lost: count,
    jitterMs: count,
    roundTripMs: count.nullable(),
    ageMs: count,
  })
  .describe('its last RTCP receiver report (RFC 3550 section 6.4.2)');

/** One receiver of a flow. */
export const flowReceiverStatus = z
  .object({
    id: text,
    flow: text.describe('its own'),
    origin,
    to: text,
    gate: z.enum(['open', 'closed']),
    source: text.describe('the flow that it listens to'),
    dscp: text,
    code: text.nullable(),
    reason: text.nullable().describe('why it could not be set up'),
    packets: count,
    bytes: count,
    errors: count.describe('packets that the kernel did not take'),
    switches: count.describe('how often the gate opened or changed its source'),
    sequence: count.describe('highest extended RTP sequence number sent; -1 before the first'),
    report: receptionReport.nullable(),
  })
  .meta({ id: 'Receiver' });

/** Compiles only while what the flows tell fits what the API promises. */
type Fits<Told extends Promised, Promised> = Told;
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;
export type FlowsFit = [
  Fits<FlowStatus, DeepReadonly<z.infer<typeof flowStatus>>>,
  Fits<ReceiverStatus, DeepReadonly<z.infer<typeof flowReceiverStatus>>>,
];
