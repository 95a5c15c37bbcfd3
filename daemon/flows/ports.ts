/** The sockets of the flows: one for each distinct port, open as long as anybody uses it. */
import { SluiceError } from '../base/errors.js';
import { formatEndpoint, isMulticast } from '../config/units.js';
import type { Batching } from '../plane/contract.js';
import type { FlowsApi, PortHandle } from '../plane/contract-flows.js';

/** What a socket is wanted for. */
export interface PortWish {
  readonly address: string;
  /** 0: a free one, shared with all who want the same. */
  readonly port: number;
  /** Of a source-specific join. */
  readonly source: string | null;
  /** Null: whatever it has. */
  readonly interfaceName: string | null;
  /** Null: whatever it has. */
  readonly ttl: number | null;
  readonly batching: Batching;
  /** Of the first who opens it. */
  readonly receiveBufferBytes: number;
  /** Null: wherever it is, or the plane likes. */
  readonly loop: number | null;
}

/** One use of a socket; to be released once. */
export interface PortLease {
  readonly handle: PortHandle;
  /** The real one. */
  readonly port: number;
  readonly loop: number;
  release(): void;
}

interface OpenPort {
  readonly wish: PortWish;
  readonly handle: PortHandle;
  readonly port: number;
  readonly loop: number;
  users: number;
}

export class PortPool {
  readonly #plane: FlowsApi;
  readonly #open = new Map<string, OpenPort>();

  constructor(plane: FlowsApi) {
    this.#plane = plane;
  }

  /** How many sockets are open. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * The socket that fits, opened if there is none.
   * @throws SluiceError those of {@link FlowsApi.addPort}; ADDRESS_IN_USE where it is open in another manner, LOOP_DIFFERS
   */
  lease(wish: PortWish): PortLease {
    const key = keyOf(wish);
    const open = this.#open.get(key) ?? this.#add(key, wish);
    refuseOther(open, wish);
    open.users += 1;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#release(key, open);
    };
    return { handle: open.handle, port: open.port, loop: open.loop, release };
  }

  /** The loop of a socket that is open already, or null. */
  loopOf(wish: PortWish): number | null {
    return this.#open.get(keyOf(wish))?.loop ?? null;
  }

  #add(key: string, wish: PortWish): OpenPort {
    const { ttl, ...options } = wish;
    const { handle, port, loop } = this.#plane.addPort({ ...options, ttl: ttl ?? DEFAULT_TTL, multicastLoop: true });
    const open = { wish, handle, port, loop, users: 0 };
    this.#open.set(key, open);
    return open;
  }

  #release(key: string, open: OpenPort): void {
    open.users -= 1;
    if (open.users > 0) return;
    this.#open.delete(key);
    this.#plane.removePort(open.handle);
  }
}

/** RFC 1340: the recommended time to live of IP. */
const DEFAULT_TTL = 64;

/** Free ports are shared by those who want everything the same; the others are what they are called. */
function keyOf({ address, port, source, interfaceName, ttl, batching, loop }: PortWish): string {
  const place = `${formatEndpoint({ address: address.toLowerCase(), port })} ${source ?? ''}`;
  if (port === 0) return `${place} ${interfaceName ?? ''} ${ttl} ${batching} ${loop}`;
  return isMulticast(address) ? `${place} ${interfaceName ?? ''}` : place;
}

function refuseOther({ wish: has, loop }: OpenPort, wants: PortWish): void {
  const where = formatEndpoint({ address: wants.address, port: wants.port });
  const is = { ...has, ttl: has.ttl ?? DEFAULT_TTL };
  const differ = (['interfaceName', 'ttl', 'batching'] as const).find(
    (key) => wants[key] !== null && wants[key] !== is[key],
  );
  if (differ !== undefined) {
    throw new SluiceError(
      'ADDRESS_IN_USE',
      `${where} is open already with another ${NAMES[differ]} (expected ${String(is[differ] ?? 'none')}, got ${String(wants[differ])})`,
      { port: where },
    );
  }
  if (wants.loop !== null && wants.loop !== loop) {
    throw new SluiceError(
      'LOOP_DIFFERS',
      `${where} is on loop ${loop}, its flow on loop ${wants.loop}: give all flows of the port the same loop`,
      { port: where, loop },
    );
  }
}

const NAMES = { interfaceName: 'interface', ttl: 'ttl', batching: 'batching' } as const;
