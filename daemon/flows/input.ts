/** Where a flow comes in: ports of its own, or the stream of a channel. */
import { SluiceError } from '../base/errors.js';
import type { StreamHandle } from '../plane/contract.js';
import type { FlowInput, PortHandle } from '../plane/contract-flows.js';
import type { FlowConfig } from './flow-schema.js';
import { isGroup } from './places.js';
import type { PortLease, PortPool, PortWish } from './ports.js';
import { sendingPort } from './receiver.js';

/** A stream of a channel, as flows need it. */
export interface StreamPlace {
  readonly stream: StreamHandle;
  readonly loop: number;
}

/** The stream of `CHANNEL/RENDITION` as it stands, or null. */
export type FindStream = (name: string) => StreamPlace | null;

/** An input that is open. */
export interface OpenInput {
  readonly input: FlowInput;
  readonly loop: number;
  readonly port: PortHandle | null;
  /** Where RTCP comes in, when it has a port of its own. */
  readonly rtcp: PortHandle | null;
  release(): void;
}

/** @throws SluiceError of the ports; FLOW_DOWN where the channel has no stream */
export function openInput(config: FlowConfig, ports: PortPool, findStream: FindStream): OpenInput {
  return config.input === undefined ? streamInput(config, findStream) : portInput(config, config.input, ports);
}

function streamInput({ channel = '' }: FlowConfig, findStream: FindStream): OpenInput {
  const place = findStream(channel);
  if (place === null) throw new SluiceError('FLOW_DOWN', `there is no stream of ${channel} now`, { channel });
  const { stream, loop } = place;
  return { input: { kind: 'stream', stream }, loop, port: null, rtcp: null, release: () => {} };
}

function portInput(config: FlowConfig, at: NonNullable<FlowConfig['input']>, ports: PortPool): OpenInput {
  const media = ports.lease(mediaPort(config, at, ports));
  const { handle: port, loop } = media;
  let rtcp: PortLease | null = null;
  try {
    if (config.rtcp === 'port') rtcp = ports.lease({ ...mediaPort(config, at, ports), port: at.port + 1, loop });
  } catch (error) {
    media.release();
    throw error;
  }
  const release = (): void => {
    media.release();
    rtcp?.release();
  };
  return { input: { kind: 'port', port, match: matchOf(config) }, loop, port, rtcp: rtcp?.handle ?? null, release };
}

function mediaPort(config: FlowConfig, at: NonNullable<FlowConfig['input']>, ports: PortPool): PortWish {
  const { source, interface: interfaceName = null, batching, receive_buffer: receiveBufferBytes } = config;
  return {
    address: at.address,
    port: at.port,
    source: isGroup(at) ? (source?.address ?? null) : null,
    interfaceName,
    ttl: null,
    batching,
    receiveBufferBytes,
    loop: config.loop ?? loopOfSenders(config, ports),
  };
}

/** A flow is sent from ports of its own loop: those that are open already decide. */
function loopOfSenders(config: FlowConfig, ports: PortPool): number | null {
  const fixed = config.receivers.filter(({ from }) => from !== undefined && from.port > 0);
  for (const receiver of fixed) {
    const loop = ports.loopOf(sendingPort(receiver, config, null));
    if (loop !== null) return loop;
  }
  return null;
}

/** The source of a group is the kernel's matter. */
function matchOf({ input, source, ssrc }: FlowConfig): Extract<FlowInput, { kind: 'port' }>['match'] {
  const joined = input !== undefined && isGroup(input);
  return { remote: joined ? null : (source?.address ?? null), remotePort: source?.port ?? 0, ssrc: ssrc ?? null };
}
