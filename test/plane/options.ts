import type {
  InputOptions,
  ListenOptions,
  SenderOptions,
  StreamOptions,
  UpstreamOptions,
} from '../../daemon/plane/contract.js';

export const STREAM: StreamOptions = {
  name: 'test/main',
  ringBytes: 2 ** 20,
  delayMs: 100,
  spreadMs: 0,
  smoothing: null,
  program: null,
  segmentMs: 2000,
  windowSegments: 6,
  ssrc: 0x1234,
  loop: null,
};

export const INPUT: InputOptions = { address: '127.0.0.1', port: 0, source: null, interfaceName: null, reorderMs: 50 };

export const SENDER: SenderOptions = {
  address: '127.0.0.1',
  port: 9,
  interfaceName: null,
  sourceAddress: null,
  sourcePort: 0,
  rtcp: null,
  ttl: 1,
  dscp: 0,
  loop: false,
  batching: 'auto',
};

export const UPSTREAM: UpstreamOptions = {
  connectTimeoutMs: 2000,
  tlsTimeoutMs: 2000,
  headTimeoutMs: 30_000,
  idleTimeoutMs: 30_000,
};

/** A listener on a port that the system picks. */
export function listener(): ListenOptions {
  return {
    address: '127.0.0.1',
    port: 0,
    maxConnections: 100,
    headerTimeoutMs: 5_000,
    idleTimeoutMs: 5_000,
    stallTimeoutMs: 5_000,
    sendBufferBytes: 65_536,
    viewerLagMs: 10_000,
  };
}
