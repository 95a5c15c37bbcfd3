/** The gates of all receivers: what is wanted of them, and who listens to a flow that is not its own. */
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { FlowsApi, GateChange } from '../plane/contract-flows.js';
import { feeds } from './conflicts.js';
import type { Flow } from './flow.js';
import type { Receiver } from './receiver.js';
import type { GateOrder } from './status.js';

/** An order whose receiver and source were found. */
interface Move {
  readonly receiver: Receiver;
  readonly open: boolean;
  /** Null for its own. */
  readonly source: string | null;
  readonly prebufferMs: number;
}

export class Gates {
  readonly #plane: FlowsApi;
  readonly #flows: ReadonlyMap<string, Flow>;
  readonly #log: Logger;
  /** Receivers that listen elsewhere, or want to, by the flow that they want. */
  readonly #away = new Map<string, Set<Receiver>>();

  constructor(plane: FlowsApi, flows: ReadonlyMap<string, Flow>, log: Logger) {
    this.#plane = plane;
    this.#flows = flows;
    this.#log = log;
  }

  /**
   * One atomic step: between two packets all of it is done, or nothing.
   * @throws SluiceError NOT_FOUND, REQUEST_INVALID, FLOW_DOWN, FLOW_CYCLE, LOOP_DIFFERS
   */
  set(orders: readonly GateOrder[]): void {
    const moves = orders.map((order) => this.#moveOf(order));
    const seen = new Set(moves.map(({ receiver }) => receiver));
    if (seen.size < moves.length)
      throw new SluiceError('REQUEST_INVALID', 'expected every receiver once: a step has no order', {});
    const changes = moves.flatMap((move) => this.#changeOf(move));
    if (changes.length > 0) this.#plane.setGates(changes);
    for (const { receiver, open, source } of moves) {
      receiver.open = open;
      this.#listen(receiver, source);
    }
  }

  /** Moves gates as they are wanted; one whose source is down waits, closed. Never throws. */
  settle(receivers: readonly Receiver[]): void {
    for (const receiver of receivers) this.#listen(receiver, receiver.source);
    const moves = receivers.map((receiver) => ({
      receiver,
      open: receiver.open,
      source: receiver.source,
      prebufferMs: 0,
    }));
    const changes = moves.flatMap((move) => {
      const down = move.source !== null && (this.#flows.get(move.source)?.handle ?? null) === null;
      return this.#changeOf(down ? { ...move, open: false, source: null } : move);
    });
    this.#tell(changes);
  }

  /** A flow came up: those who wait for it listen. */
  gather(flow: Flow): void {
    this.settle([...(this.#away.get(flow.id) ?? [])]);
  }

  /** A flow is about to go: those who listen to it from elsewhere are closed, and wait. */
  dismiss(flow: Flow): void {
    const changes = [...(this.#away.get(flow.id) ?? [])].flatMap((receiver) =>
      this.#changeOf({ receiver, open: false, source: null, prebufferMs: 0 }),
    );
    this.#tell(changes);
  }

  /** A flow went with its stream, and in the plane who listened to it: their own flows set them up again. */
  lose(flow: Flow): void {
    for (const receiver of this.#away.get(flow.id) ?? []) receiver.release();
  }

  /** A flow is gone for good: who listened to it is back at its own, its gate as it is configured. */
  release(id: string): void {
    const receivers = [...(this.#away.get(id) ?? [])];
    for (const receiver of receivers) {
      receiver.open = receiver.config.gate === 'open';
      receiver.source = null;
    }
    this.#away.delete(id);
    this.settle(receivers);
  }

  /** Receivers that are gone listen to nothing. */
  forget(receivers: Iterable<Receiver>): void {
    for (const receiver of receivers) if (receiver.source !== null) this.#away.get(receiver.source)?.delete(receiver);
  }

  #moveOf({ receiver: name, gate, source, prebuffer = 0 }: GateOrder): Move {
    const [flow = '', id = ''] = name.split('/');
    const receiver = this.#flows.get(flow)?.receivers.get(id);
    if (receiver === undefined) throw new SluiceError('NOT_FOUND', `there is no receiver ${name}`, { receiver: name });
    const from = source ?? receiver.source ?? flow;
    if (source !== undefined) this.#refuseSource(receiver, source);
    const open = gate === undefined ? receiver.open : gate === 'open';
    return { receiver, open, source: from === flow ? null : from, prebufferMs: prebuffer };
  }

  #refuseSource(receiver: Receiver, id: string): void {
    const name = `${receiver.flow}/${receiver.config.id}`;
    const source = this.#flows.get(id);
    if (source === undefined) throw new SluiceError('NOT_FOUND', `there is no flow ${id}`, { flow: id });
    if (source.handle === null && id !== receiver.flow) {
      const reason = source.fault?.message ?? 'it is not set up';
      throw new SluiceError('FLOW_DOWN', `${name} cannot listen to flow ${id}: ${reason}`, { flow: id });
    }
    if (feeds(receiver.config, source.config))
      throw new SluiceError('FLOW_CYCLE', `${name} cannot listen to flow ${id}: it leads back to its input`, {
        flow: id,
      });
  }

  /** Nothing for a receiver that the plane does not have: it comes up as it is wanted. */
  #changeOf({ receiver, open, source, prebufferMs }: Move): GateChange[] {
    const flow = this.#flows.get(source ?? receiver.flow)?.handle ?? null;
    if (receiver.handle === null) return [];
    return [{ receiver: receiver.handle, open, flow, prebufferMs }];
  }

  #listen(receiver: Receiver, source: string | null): void {
    this.forget([receiver]);
    receiver.source = source;
    if (source === null) return;
    const there = this.#away.get(source) ?? new Set();
    this.#away.set(source, there.add(receiver));
  }

  #tell(changes: readonly GateChange[]): void {
    if (changes.length === 0) return;
    try {
      this.#plane.setGates(changes);
    } catch (error) {
      this.#log.error({ err: error, gates: changes.length }, 'gates could not be moved');
    }
  }
}
