/** The TypeScript face of the addon: checks what crosses, keeps handles and slots together, turns ends into promises. */
import { rootCertificates } from 'node:tls';
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { type Added, loadAddon, type RawEvent, type RawPlane, type RawResult } from './addon.js';
import * as checks from './checks.js';
import { checked } from './checks.js';
import {
  ACCESS_LOG_COUNTERS,
  type AccessLogCounters,
  type AccessLogOptions,
  CAPTURE_COUNTERS,
  type CaptureCounters,
  type CaptureHandle,
  type CaptureOptions,
  FETCH_COUNTERS,
  type FecOptions,
  type FetchCounters,
  type FetchOptions,
  INPUT_COUNTERS,
  type InputCounters,
  type InputHandle,
  type InputOptions,
  LISTENER_COUNTERS,
  type ListenerCounters,
  type ListenerHandle,
  type ListenerLimits,
  type ListenOptions,
  LOOP_COUNTERS,
  type LoopCounters,
  type MadeObject,
  OBJECT_COUNTERS,
  type ObjectCounters,
  type ObjectRefusal,
  type PlaneApi,
  type PlaneEvent,
  type PlaneLoop,
  type PlaneOptions,
  RELAY_COUNTERS,
  REPLAY_COUNTERS,
  type ReceiverHandle,
  type ReceiverOptions,
  type RelayCounters,
  type RelayGroup,
  type RelayOptions,
  type ReplayCounters,
  type ReplayHandle,
  type ReplayOptions,
  type Route,
  SENDER_COUNTERS,
  type SenderCounters,
  type SenderHandle,
  type SenderOptions,
  SITE_COUNTERS,
  type SiteCounters,
  type SiteHandle,
  type SiteOptions,
  type SourceFaultCode,
  STREAM_COUNTERS,
  type StreamCounters,
  type StreamHandle,
  type StreamOptions,
  type Ticket,
  type TlsCertificate,
  type TokenRule,
  UPSTREAM_COUNTERS,
  type UpstreamCounters,
  type UpstreamHandle,
  type UpstreamOptions,
  type UpstreamRequest,
  type UpstreamResponse,
  type UpstreamTls,
  type ViewerInfo,
  type Way,
} from './contract.js';
import type { FlowsApi } from './contract-flows.js';
import { CounterTable } from './counters.js';
import { FlowVerbs } from './flows.js';
import { native, toCode } from './native-errors.js';

/** Starts the plane's loop thread. @throws SluiceError ADDON_MISSING, SYSTEM_CALL, USAGE */
export function createPlane(options: PlaneOptions & { readonly log?: Logger }): PlaneApi {
  return new Plane(options);
}

interface PendingRequest {
  readonly resolve: (response: UpstreamResponse) => void;
  readonly reject: (error: SluiceError) => void;
}

class Plane implements PlaneApi {
  readonly flows: FlowsApi;
  readonly #raw: RawPlane;
  readonly #table: CounterTable;
  /** Slots of what every plane has once. */
  readonly #own: Readonly<Record<'objectSlot' | 'fetchSlot' | 'accessLogSlot' | 'relaySlot', number>>;
  readonly loops: readonly PlaneLoop[];
  readonly #loopSlots: readonly number[];
  readonly #slots = new Map<number, number>();
  /** Of listeners: a slot for each loop. */
  readonly #listenerSlots = new Map<number, readonly number[]>();
  /** Where streams are. */
  readonly #streamLoops = new Map<number, number>();
  /** What is attached to a stream, and goes with it. */
  readonly #attached = new Map<number, Set<number>>();
  readonly #requests = new Map<number, PendingRequest>();
  readonly #listeners = new Set<(event: PlaneEvent) => void>();
  readonly #log: Logger | undefined;
  #nextRequest = 1;
  #closed = false;
  #trusting = false;

  constructor(options: PlaneOptions & { readonly log?: Logger }) {
    this.#log = options.log;
    const { log: _, ...wanted } = options;
    const { viaName, authorities, loops, ...o } = checked(checks.planeOptions, wanted, 'createPlane');
    const cpus = typeof loops === 'number' ? [] : loops;
    const raw = { ...o, via: `1.1 ${viaName}`, loops: typeof loops === 'number' ? loops : loops.length, cpus };
    this.#raw = native(() => new (loadAddon().Plane)(raw, (events) => this.#deliver(events)));
    const { table, slotWords, loopSlots, ...slots } = this.#raw.counters();
    this.#table = new CounterTable(table, slotWords);
    this.#own = slots;
    this.#loopSlots = loopSlots;
    this.loops = loopSlots.map((_, loop) => ({ name: `sluice-loop${loop}`, cpu: cpus[loop] ?? null }));
    this.flows = new FlowVerbs(this.#raw, {
      native,
      added: (add, owner) => this.#added(add, owner),
      remove: (handle) => this.#remove(handle),
      known: (handle) => this.#known(handle),
      read: (handle, names, into) => this.#table.read(this.#slotOf(handle), names, into),
    });
    if (authorities !== undefined) this.#trustAtStart(authorities);
  }

  addStream(options: StreamOptions): StreamHandle {
    const o = checked(checks.streamOptions, options, 'addStream');
    let loop = 0;
    const stream = this.#added(() => {
      const added = this.#raw.addStream(o);
      ({ loop } = added);
      return added;
    }) as StreamHandle;
    this.#streamLoops.set(stream, loop);
    return stream;
  }

  removeStream(stream: StreamHandle): void {
    this.#remove(stream);
  }

  loopOf(stream: StreamHandle): number {
    const loop = this.#streamLoops.get(stream);
    if (loop === undefined) throw unknownHandle(stream);
    return loop;
  }

  spliceStream(stream: StreamHandle): void {
    if (!this.#raw.spliceStream(this.#known(stream))) throw unknownHandle(stream);
  }

  openUpstream(stream: StreamHandle, options: UpstreamOptions): UpstreamHandle {
    const o = checked(checks.upstreamOptions, options, 'openUpstream');
    return this.#added(() => this.#raw.openUpstream(this.#known(stream), o), stream) as UpstreamHandle;
  }

  closeUpstream(upstream: UpstreamHandle): void {
    this.#remove(upstream);
  }

  request(upstream: UpstreamHandle, request: UpstreamRequest): Promise<UpstreamResponse> {
    return this.#asked(
      (id) => {
        const r = checked(checks.upstreamRequest, request, 'request');
        this.#prepare(r.tls);
        return this.#raw.request(this.#known(upstream), { ...r, id });
      },
      () => new SluiceError('USAGE', 'request: the upstream is still answering the one before', { upstream }),
    );
  }

  addSite(options: SiteOptions): SiteHandle {
    const o = checked(checks.siteOptions, options, 'addSite');
    return this.#added(() => this.#raw.addSite(o)) as SiteHandle;
  }

  setTokens(site: SiteHandle, rule: TokenRule): void {
    const r = checked(checks.tokenRule, rule, 'setTokens');
    native(() => this.#raw.setTokens(this.#known(site), r));
  }

  siteCounters(site: SiteHandle): SiteCounters {
    return this.#table.read(this.#slotOf(site), SITE_COUNTERS);
  }

  removeSite(site: SiteHandle): void {
    this.#remove(site);
  }

  setWay(site: SiteHandle, way: Way): void {
    const w = checked(checks.way, way, 'setWay');
    if (!native(() => this.#raw.setWay(this.#known(site), w))) throw unknownHandle(site);
  }

  fetch(options: FetchOptions): Promise<UpstreamResponse> {
    return this.#asked(
      (id) => {
        const o = checked(checks.fetchOptions, options, 'fetch') as FetchOptions;
        this.#prepare(o.tls);
        return this.#raw.fetch({ ...o, id });
      },
      () => new SluiceError('UPSTREAM_BUSY', 'too many requests wait for a connection to an origin', {}),
    );
  }

  putObject(ticket: Ticket, object: MadeObject): boolean {
    return native(() => this.#raw.putObject(ticket, checked(checks.madeObject, object, 'putObject')));
  }

  refuseObject(ticket: Ticket, refusal: ObjectRefusal): boolean {
    return native(() => this.#raw.refuseObject(ticket, checked(checks.objectRefusal, refusal, 'refuseObject')));
  }

  purge(site: SiteHandle, path: string): number {
    return this.#raw.purge(this.#known(site), path);
  }

  setRelay(options: RelayOptions | null): void {
    const o = options === null ? null : checked(checks.relayOptions, options, 'setRelay');
    native(() => this.#raw.setRelay(o));
  }

  openRelay(group: RelayGroup, stream: StreamHandle): boolean {
    return this.#raw.openRelay(group, this.#known(stream));
  }

  refuseRelay(group: RelayGroup, refusal: ObjectRefusal): boolean {
    return native(() => this.#raw.refuseRelay(group, checked(checks.objectRefusal, refusal, 'refuseRelay')));
  }

  relayCounters(): RelayCounters {
    return this.#table.read(this.#own.relaySlot, RELAY_COUNTERS);
  }

  addInput(stream: StreamHandle, options: InputOptions): InputHandle {
    const o = checked(checks.inputOptions, options, 'addInput', 'ADDRESS_INVALID');
    this.#prepare(o.repair?.range?.tls ?? null);
    return this.#added(() => this.#raw.addInput(this.#known(stream), o), stream) as InputHandle;
  }

  removeInput(input: InputHandle): void {
    this.#remove(input);
  }

  addSender(stream: StreamHandle, options: SenderOptions): SenderHandle {
    const o = checked(checks.senderOptions, options, 'addSender', 'ADDRESS_INVALID');
    return this.#added(() => this.#raw.addSender(this.#known(stream), o), stream) as SenderHandle;
  }

  setFec(sender: SenderHandle, fec: FecOptions | null): void {
    const parity = checked(checks.fecOptions.nullable(), fec, 'setFec');
    native(() => this.#raw.setFec(this.#known(sender), parity));
  }

  removeSender(sender: SenderHandle): void {
    this.#remove(sender);
  }

  listen(options: ListenOptions): { readonly listener: ListenerHandle; readonly port: number; readonly fd: number } {
    const o = checked(checks.listenOptions, options, 'listen', 'ADDRESS_INVALID');
    let [port, fd, slots]: [number, number, readonly number[]] = [0, -1, []];
    const listener = this.#added(() => {
      const added = this.#raw.listen(o);
      ({ port, fd, slots } = added);
      return added;
    }) as ListenerHandle;
    this.#listenerSlots.set(listener, slots);
    return { listener, port, fd };
  }

  serve(listener: ListenerHandle): void {
    this.#raw.serve(this.#known(listener));
  }

  setCertificates(listener: ListenerHandle, certificates: readonly TlsCertificate[]): void {
    const all = certificates.map((one) => checked(checks.tlsCertificate, one, 'setCertificates'));
    native(() => this.#raw.setCertificates(this.#known(listener), all));
  }

  setLimits(listener: ListenerHandle, limits: ListenerLimits): void {
    const l = checked(checks.listenerLimits, limits, 'setLimits');
    native(() => this.#raw.setLimits(this.#known(listener), l));
  }

  closeListener(listener: ListenerHandle): void {
    this.#remove(listener);
  }

  setAccessLog(options: AccessLogOptions | null): void {
    const o = options === null ? null : checked(checks.accessLogOptions, options, 'setAccessLog');
    native(() => this.#raw.setAccessLog(o));
  }

  accessLogCounters(): AccessLogCounters {
    return this.#table.read(this.#own.accessLogSlot, ACCESS_LOG_COUNTERS);
  }

  setRoute(path: string, route: Route): void {
    const p = checked(checks.routePath, path, 'setRoute');
    const r = checked(checks.route, route, 'setRoute') as Route;
    if (r.kind === 'segments' && !p.endsWith('/')) {
      throw new SluiceError('USAGE', `setRoute: a path of segments ends in "/" (got ${p})`, { path });
    }
    native(() => this.#raw.setRoute(p, r));
  }

  deleteRoute(path: string): void {
    this.#raw.deleteRoute(path);
  }

  addReceiver(options: ReceiverOptions): ReceiverHandle {
    const o = checked(checks.receiverOptions, options, 'addReceiver', 'ADDRESS_INVALID');
    this.#prepare(o.repair?.range?.tls ?? null);
    return this.#added(() => this.#raw.addReceiver(o)) as ReceiverHandle;
  }

  removeReceiver(receiver: ReceiverHandle): void {
    this.#remove(receiver);
  }

  addCapture(options: CaptureOptions): CaptureHandle {
    const o = checked(checks.captureOptions, options, 'addCapture');
    return this.#added(() => this.#raw.addCapture(o)) as CaptureHandle;
  }

  removeCapture(capture: CaptureHandle): void {
    this.#remove(capture);
  }

  addReplay(options: ReplayOptions): ReplayHandle {
    const o = checked(checks.replayOptions, options, 'addReplay', 'ADDRESS_INVALID');
    return this.#added(() => this.#raw.addReplay(o)) as ReplayHandle;
  }

  removeReplay(replay: ReplayHandle): void {
    this.#remove(replay);
  }

  captureCounters(capture: CaptureHandle): CaptureCounters {
    return this.#table.read(this.#slotOf(capture), CAPTURE_COUNTERS);
  }

  replayCounters(replay: ReplayHandle): ReplayCounters {
    return this.#table.read(this.#slotOf(replay), REPLAY_COUNTERS);
  }

  streamCounters(stream: StreamHandle): StreamCounters {
    return this.#table.read(this.#slotOf(stream), STREAM_COUNTERS);
  }

  upstreamCounters(upstream: UpstreamHandle): UpstreamCounters {
    return this.#table.read(this.#slotOf(upstream), UPSTREAM_COUNTERS);
  }

  inputCounters(input: InputHandle | ReceiverHandle): InputCounters {
    return this.#table.read(this.#slotOf(input), INPUT_COUNTERS);
  }

  senderCounters(sender: SenderHandle): SenderCounters {
    return this.#table.read(this.#slotOf(sender), SENDER_COUNTERS);
  }

  listenerCounters(listener: ListenerHandle): ListenerCounters {
    const slots = this.#listenerSlots.get(this.#known(listener)) ?? [];
    return this.#table.sum(slots, LISTENER_COUNTERS);
  }

  loopCounters(): readonly LoopCounters[] {
    return this.#loopSlots.map((slot) => this.#table.read(slot, LOOP_COUNTERS));
  }

  objectCounters(): ObjectCounters {
    return this.#table.read(this.#own.objectSlot, OBJECT_COUNTERS);
  }

  fetchCounters(): FetchCounters {
    return this.#table.read(this.#own.fetchSlot, FETCH_COUNTERS);
  }

  viewers(): Promise<readonly ViewerInfo[]> {
    const decoder = new TextDecoder();
    const rows = this.#raw.viewers().map(
      (row): ViewerInfo => ({
        ...row,
        stream: row.stream as StreamHandle,
        userAgent: decoder.decode(row.userAgent),
      }),
    );
    return Promise.resolve(rows.sort((a, b) => a.id - b.id));
  }

  onEvent(listener: (event: PlaneEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#raw.close();
    this.#slots.clear();
    this.#listenerSlots.clear();
    this.#streamLoops.clear();
    this.#attached.clear();
    for (const pending of this.#requests.values()) {
      pending.reject(new SluiceError('UPSTREAM_CLOSED', 'the plane was closed', { bytes: 0, reused: false }));
    }
    this.#requests.clear();
    return Promise.resolve();
  }

  /** Asks for something whose end comes as an event; `ask` gives false where `refused` tells why. */
  #asked(ask: (id: number) => boolean, refused: () => SluiceError): Promise<UpstreamResponse> {
    return new Promise((resolve, reject) => {
      const id = this.#nextRequest++;
      // The answer may be delivered before the verb returns.
      this.#requests.set(id, { resolve, reject });
      let asked = false;
      try {
        asked = native(() => ask(id));
        if (!asked) throw refused();
      } finally {
        if (!asked) this.#requests.delete(id);
      }
    });
  }

  #trustAtStart(authorities: string): void {
    try {
      this.#trust(authorities);
    } catch (error) {
      // Nobody gets hold of this plane: its loop would run on.
      this.#raw.close();
      throw error;
    }
  }

  /** Reading all the authorities that Node brings takes a while: not before somebody needs them. */
  #prepare(tls: UpstreamTls | null): void {
    if (tls !== null && !this.#trusting) this.#trust(rootCertificates.join('\n'));
  }

  #trust(authorities: string): void {
    native(() => this.#raw.trust(authorities));
    this.#trusting = true;
  }

  #added(add: () => Added, owner?: number): number {
    const { handle, slot } = native(add);
    this.#slots.set(handle, slot);
    if (owner !== undefined) {
      const attached = this.#attached.get(owner) ?? new Set();
      this.#attached.set(owner, attached.add(handle));
    }
    return handle;
  }

  #known(handle: number): number {
    this.#slotOf(handle);
    return handle;
  }

  #slotOf(handle: number): number {
    const slot = this.#slots.get(handle);
    if (slot === undefined) throw unknownHandle(handle);
    return slot;
  }

  /** Removing what is gone already is not an error: the plane removes what is attached to a stream with it. */
  #remove(handle: number): void {
    if (!this.#slots.delete(handle)) return;
    this.#listenerSlots.delete(handle);
    this.#streamLoops.delete(handle);
    // Their slots are given to others: nobody may read them by the old handles.
    for (const attached of this.#attached.get(handle) ?? []) this.#slots.delete(attached);
    if (!this.#attached.delete(handle)) for (const attached of this.#attached.values()) attached.delete(handle);
    this.#raw.remove(handle);
  }

  #deliver(events: readonly RawEvent[]): void {
    for (const event of events) {
      if (event.type === 'upstream-end') this.#settle(event.result);
      // What was removed while its event was on the way is not spoken of any more. What is wanted has no handle yet.
      else if (event.type === 'relay-wanted' || this.#slots.has(event.handle)) this.#tell(toEvent(event));
    }
  }

  #tell(event: PlaneEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // One listener's mistake must not keep the event from the others.
        this.#log?.error({ err: error, event: event.type }, 'a listener of plane events failed');
      }
    }
  }

  #settle(result: RawResult): void {
    const pending = this.#requests.get(result.request);
    this.#requests.delete(result.request);
    if (pending === undefined) return;
    const answer = toAnswer(result);
    if (answer instanceof SluiceError) pending.reject(answer);
    else pending.resolve(answer);
  }
}

/** How a request ended: what came, or why it did not. */
function toAnswer(result: RawResult): UpstreamResponse | SluiceError {
  const { status, headers, body, bytes, reused } = result;
  if (result.code === null) return { status, headers, body, bytes };
  return new SluiceError(toCode(result.code), result.message, { bytes, reused, status });
}

function toEvent(event: Exclude<RawEvent, { type: 'upstream-end' }>): PlaneEvent {
  if (event.type === 'upstream-head') {
    return { type: event.type, upstream: event.handle as UpstreamHandle, status: event.status };
  }
  if (event.type === 'object-wanted') {
    const { handle, ticket, result, ...rest } = event;
    const answer = result === null ? null : toAnswer(result);
    return { ...rest, site: handle as SiteHandle, ticket: ticket as Ticket, answer };
  }
  if (event.type === 'relay-wanted') {
    const { handle: _, group, ...rest } = event;
    return { ...rest, group: group as RelayGroup };
  }
  if (event.type === 'relay-ended') {
    const { handle, group, ...rest } = event;
    return { ...rest, group: group as RelayGroup, stream: handle as StreamHandle };
  }
  if (event.type === 'capture-end') {
    const code = event.code === null ? null : 'SYSTEM_CALL';
    return { type: event.type, capture: event.handle as CaptureHandle, code, detail: event.detail };
  }
  if (event.type === 'replay-end') {
    const code = event.code as 'CAPTURE_INVALID' | 'CAPTURE_EMPTY' | null;
    return { type: event.type, replay: event.handle as ReplayHandle, code, detail: event.detail };
  }
  const stream = event.handle as StreamHandle;
  if (event.type === 'stream-ready') return { type: event.type, stream };
  return { type: event.type, stream, code: event.code as SourceFaultCode, detail: event.detail };
}

function unknownHandle(handle: number): SluiceError {
  return new SluiceError('HANDLE_UNKNOWN', `the plane knows no handle ${handle}`, { handle });
}
