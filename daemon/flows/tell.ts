/** Flows and receivers as they are told to operators. */
import { formatEndpoint } from '../config/units.js';
import type { FlowReceiverHandle, FlowReceiverInfo, FlowsApi } from '../plane/contract-flows.js';
import { formatCodePoint } from './code-point.js';
import type { Flow } from './flow.js';
import { formatOpen } from './places.js';
import type { Receiver } from './receiver.js';
import type { FlowStatus, ReceiverStatus } from './status.js';

/** A flow whose last packet is older than this is silent, milliseconds. */
const SILENT_MS = 2000;

export function statusOf(flow: Flow): FlowStatus {
  const { config, fault, meter, handle } = flow;
  const receivers = [...flow.receivers.values()];
  const age = meter.ageMs;
  return {
    id: flow.id,
    origin: flow.origin,
    state: handle === null ? 'failed' : age !== null && age < SILENT_MS ? 'flowing' : 'silent',
    code: fault?.code ?? null,
    reason: fault?.message ?? null,
    input: config.input?.display ?? config.channel ?? '',
    source: config.source === undefined ? null : formatOpen(config.source),
    interface: config.interface ?? null,
    ssrc: config.ssrc ?? null,
    rtcp: config.rtcp,
    priority: config.priority,
    loop: flow.loop,
    receivers: receivers.length,
    receiversOpen: receivers.filter((one) => one.handle !== null && one.open).length,
    receiversFailed: receivers.filter((one) => one.fault !== null).length,
    rates: meter.rates,
    lastInputAgeMs: age,
    counters: { ...flow.counters() },
    port: flow.portCounters(),
  };
}

/** Receivers of a flow that are read from the plane at once. */
const PAGE = 1000;

/** The receivers of a flow, with what the plane knows of them wherever they listen. */
export function receiversOf(flow: Flow, plane: FlowsApi, flows: ReadonlyMap<string, Flow>): ReceiverStatus[] {
  const receivers = [...flow.receivers.values()];
  const heard = new Set([flow.id, ...receivers.flatMap(({ source }) => source ?? [])]);
  const infos = new Map<FlowReceiverHandle, FlowReceiverInfo>();
  for (const id of heard) for (const info of infosOf(flows.get(id), plane)) infos.set(info.receiver, info);
  return receivers.map((one) => receiverStatus(one, one.handle === null ? undefined : infos.get(one.handle)));
}

function infosOf(flow: Flow | undefined, plane: FlowsApi): FlowReceiverInfo[] {
  const handle = flow?.heard ?? null;
  if (handle === null) return [];
  const all: FlowReceiverInfo[] = [];
  for (;;) {
    const page = plane.flowReceivers(handle, all.length, PAGE);
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

function receiverStatus(receiver: Receiver, info: FlowReceiverInfo | undefined): ReceiverStatus {
  const { config, origin, flow, fault } = receiver;
  return {
    id: config.id,
    flow,
    origin,
    to: formatEndpoint(config.to),
    gate: receiver.open ? 'open' : 'closed',
    source: receiver.source ?? flow,
    dscp: formatCodePoint(config.dscp),
    code: fault?.code ?? null,
    reason: fault?.message ?? null,
    packets: info?.packets ?? 0,
    bytes: info?.bytes ?? 0,
    errors: info?.errors ?? 0,
    switches: info?.switches ?? 0,
    sequence: info?.sequence ?? -1,
    report: info?.report ?? null,
  };
}
