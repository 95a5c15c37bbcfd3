/** What several flows cannot have at the same time; the same for a file and for what the API adds to a running daemon. */
import { isIP } from 'node:net';
import type { ErrorCode } from '../base/errors.js';
import { type Endpoint, formatEndpoint, isWildcard } from '../config/units.js';
import type { FlowConfig, FlowReceiverConfig } from './flow-schema.js';
import { formatOpen, isGroup } from './places.js';

/** One of them, at the later of the flows. */
export interface Conflict {
  readonly code: ErrorCode;
  /** Below the list of flows. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export function findConflicts(flows: readonly FlowConfig[]): Conflict[] {
  return [
    ...sameIds(flows),
    ...sameReceivers(flows),
    ...samePackets(flows),
    ...rtcpPorts(flows),
    ...cycles(flows),
    ...mixedPorts(flows),
  ];
}

/** Tells `taken` of every item whose key an earlier one has. */
function repeats<T>(
  items: readonly T[],
  keyOf: (item: T) => string | null,
  taken: (item: T, at: number, first: T) => Conflict,
): Conflict[] {
  const seen = new Map<string, T>();
  return items.flatMap((item, at) => {
    const key = keyOf(item);
    const first = key === null ? undefined : seen.get(key);
    if (key !== null && first === undefined) seen.set(key, item);
    return first === undefined ? [] : [taken(item, at, first)];
  });
}

function sameIds(flows: readonly FlowConfig[]): Conflict[] {
  const message = 'expected an id that no other flow has';
  return repeats(
    flows,
    ({ id }) => id,
    (_, at) => ({ code: 'ID_TAKEN', path: [at, 'id'], message }),
  );
}

function sameReceivers(flows: readonly FlowConfig[]): Conflict[] {
  return flows.flatMap(({ receivers }, f) => [
    ...repeats(
      receivers,
      ({ id }) => id,
      (_, at): Conflict => ({
        code: 'ID_TAKEN',
        path: [f, 'receivers', at, 'id'],
        message: 'expected an id that no other receiver of the flow has',
      }),
    ),
    ...repeats(
      receivers,
      ({ to, interface: name }) => `${endpointKey(to)} ${name ?? ''}`,
      (_, at, first): Conflict => ({
        code: 'REQUEST_INVALID',
        path: [f, 'receivers', at, 'to'],
        message: `expected another destination: ${first.id} of this flow is there, and would get every packet twice`,
      }),
    ),
  ]);
}

/** Flows on one port are told apart by sender or SSRC. */
function samePackets(flows: readonly FlowConfig[]): Conflict[] {
  return repeats(flows, packetsOf, (_, at, first) => ({
    code: 'MATCH_TAKEN',
    path: [at, 'input'],
    message: `expected other packets than flow ${first.id} takes: another port, source or ssrc`,
  }));
}

function packetsOf(flow: FlowConfig): string | null {
  if (flow.input === undefined) return null;
  const { source, ssrc } = flow;
  return `${portKey(flow.input, flow)} ${source === undefined ? '' : formatOpen(source)} ${ssrc ?? ''}`;
}

/** The socket of an input: of a group, one for each interface. */
function portKey(at: Endpoint, { interface: name }: FlowConfig): string {
  return isGroup(at) ? `${endpointKey(at)} ${name ?? ''}` : endpointKey(at);
}

function endpointKey({ address, port }: Endpoint): string {
  return formatEndpoint({ address: address.toLowerCase(), port });
}

/** RTCP above the media port of one flow, media of another. */
function rtcpPorts(flows: readonly FlowConfig[]): Conflict[] {
  const owners = new Map<string, FlowConfig>();
  for (const flow of flows)
    if (flow.input !== undefined && flow.rtcp === 'port')
      owners.set(portKey({ ...flow.input, port: flow.input.port + 1 }, flow), flow);
  return flows.flatMap((flow, at): Conflict[] => {
    const owner = flow.input === undefined ? undefined : owners.get(portKey(flow.input, flow));
    if (owner === undefined) return [];
    const message = `expected another port: this one is for the RTCP of flow ${owner.id}`;
    return [{ code: 'MATCH_TAKEN', path: [at, 'input'], message }];
  });
}

/** A receiver that leads back to the input of its own flow, directly or by way of other flows: packets would never end. */
function cycles(flows: readonly FlowConfig[]): Conflict[] {
  const inputs = new Map<number, number[]>();
  flows.forEach(({ input }, at) => {
    const there = inputs.get(input?.port ?? 0) ?? [];
    there.push(at);
    inputs.set(input?.port ?? 0, there);
  });
  const next = flows.map(({ receivers }) =>
    receivers.map((one) => (inputs.get(one.to.port) ?? []).filter((at) => feeds(one, flows[at]))),
  );
  const leads = (from: number, home: number, seen: Set<number>): boolean => {
    if (from === home) return true;
    if (seen.has(from)) return false;
    seen.add(from);
    return (next[from] ?? []).flat().some((step) => leads(step, home, seen));
  };
  return flows.flatMap((flow, home) =>
    flow.receivers.flatMap(({ to }, at): Conflict[] => {
      const way = (next[home]?.[at] ?? []).filter((step) => leads(step, home, new Set()));
      if (way.length === 0) return [];
      const by = way.includes(home) ? '' : ` by way of ${way.map((step) => flows[step]?.id).join(', ')}`;
      const message = `expected a destination that does not lead back to the input of flow ${flow.id}${by}: ${formatEndpoint(to)} does`;
      return [{ code: 'FLOW_CYCLE', path: [home, 'receivers', at, 'to'], message }];
    }),
  );
}

/** Whether what a receiver is sent comes in at a flow, as far as the configuration tells. */
export function feeds({ to, interface: name }: FlowReceiverConfig, flow: FlowConfig | undefined): boolean {
  if (flow?.input === undefined) return false;
  const { input, interface: joined } = flow;
  if (input.port !== to.port || isIP(input.address) !== isIP(to.address)) return false;
  const same = input.address.toLowerCase() === to.address.toLowerCase();
  if (isGroup(input)) return same && (name === undefined || joined === undefined || name === joined);
  return same || (isWildcard(input.address) && isOwn(to.address));
}

/** Addresses that are this machine's whatever its interfaces. */
function isOwn(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** One socket sends by one interface, with one time to live. */
function mixedPorts(flows: readonly FlowConfig[]): Conflict[] {
  const all = flows.flatMap((flow, f) =>
    flow.receivers.map((receiver, r) => ({ flow, receiver, path: [f, 'receivers', r] })),
  );
  const first = new Map<string, (typeof all)[number]>();
  return all.flatMap((one): Conflict[] => {
    const { from } = one.receiver;
    if (from === undefined || from.port === 0) return [];
    const before = first.get(endpointKey(from)) ?? one;
    first.set(endpointKey(from), before);
    if (mannerOf(before.flow, before.receiver) === mannerOf(one.flow, one.receiver)) return [];
    const message = `expected the interface, ttl and batching of ${before.flow.id}/${before.receiver.id}, which is sent to from the same port`;
    return [{ code: 'ADDRESS_IN_USE', path: [...one.path, 'from'], message }];
  });
}

function mannerOf({ batching }: FlowConfig, receiver: FlowReceiverConfig): string {
  return `${receiver.interface ?? ''} ${ttlOf(receiver)} ${batching}`;
}

/** Time to live, or hop limit, of what a receiver is sent. */
export function ttlOf({ to, ttl }: FlowReceiverConfig): number {
  return ttl ?? (isGroup(to) ? 8 : 64);
}
