/** The addon as it is: found, loaded, and typed. Nothing but this folder sees it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../base/errors.js';
import type {
  AccessLogOptions,
  CaptureFlows,
  CaptureOptions,
  CaptureSummary,
  FecOptions,
  FetchOptions,
  InputOptions,
  ListenerLimits,
  ListenOptions,
  MadeObject,
  ObjectRefusal,
  ReceiverOptions,
  RelayEnd,
  RelayOptions,
  ReplayOptions,
  Route,
  SenderOptions,
  SiteOptions,
  StreamOptions,
  TlsCertificate,
  TokenRule,
  UpstreamOptions,
  UpstreamRequest,
  Way,
} from './contract.js';
import type { FlowMatch, FlowReceiverInfo } from './contract-flows.js';
import type { RouterApi, RouterEvent, RouterOptions } from './contract-router.js';
import type { ControlCapture, ControlCaptureOptions } from './control-capture.js';

/** What adding something gives: its handle, the slot of its counters, and the loop that it lives on. */
export interface Added {
  readonly handle: number;
  readonly slot: number;
  readonly loop: number;
}

/** How a request ended. */
export interface RawResult {
  readonly request: number;
  readonly code: string | null;
  readonly message: string;
  readonly bytes: number;
  readonly reused: boolean;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

export type RawEvent =
  | { readonly type: 'source-fault'; readonly handle: number; readonly code: string; readonly detail: string }
  | { readonly type: 'stream-ready'; readonly handle: number }
  | { readonly type: 'upstream-head'; readonly handle: number; readonly status: number }
  | {
      readonly type: 'object-wanted';
      readonly handle: number;
      readonly ticket: number;
      readonly target: string;
      readonly etag: string;
      readonly lastModified: string;
      readonly result: RawResult | null;
    }
  | {
      readonly type: 'capture-end' | 'replay-end';
      readonly handle: number;
      readonly code: string | null;
      readonly detail: string;
    }
  | {
      readonly type: 'relay-wanted';
      readonly handle: 0;
      readonly group: string;
      readonly address: string;
      readonly port: number;
      readonly source: string | null;
    }
  | { readonly type: 'relay-ended'; readonly handle: number; readonly group: string; readonly reason: RelayEnd }
  | { readonly type: 'upstream-end'; readonly handle: number; readonly result: RawResult };

export interface RawPlaneOptions {
  readonly memoryBytes: number;
  readonly objectBytes: number;
  readonly largestObjectBytes: number;
  readonly via: string;
  readonly loops: number;
  /** One for each loop, or none. */
  readonly cpus: readonly number[];
}

export interface RawViewer {
  readonly id: number;
  readonly stream: number;
  readonly remote: string;
  readonly userAgent: Uint8Array;
  readonly connectedMs: number;
  readonly bytes: number;
  readonly drops: number;
  readonly lagBytes: number;
}

/** `Plane` of native/addon/plane_object.h. */
export interface RawPlane {
  addStream(options: StreamOptions): Added;
  spliceStream(stream: number): boolean;
  trust(authorities: string): void;
  openUpstream(stream: number, options: UpstreamOptions): Added;
  request(upstream: number, request: UpstreamRequest & { readonly id: number }): boolean;
  addInput(stream: number, options: InputOptions): Added;
  addSender(stream: number, options: SenderOptions): Added;
  setFec(sender: number, fec: FecOptions | null): void;
  addReceiver(options: ReceiverOptions): Added;
  addPort(options: object): Added & { readonly port: number };
  removePort(port: number): void;
  addFlow(input: number, options: object, match: FlowMatch): Added;
  /** The first of their handles. */
  addFlowReceivers(flow: number, receivers: readonly object[]): number;
  removeFlowReceivers(receivers: readonly number[]): void;
  setGates(changes: readonly object[]): void;
  flowReceivers(flow: number, offset: number, limit: number): FlowReceiverInfo[];
  addCapture(options: CaptureOptions): Added;
  addReplay(options: ReplayOptions): Added;
  setCertificates(listener: number, certificates: readonly TlsCertificate[]): void;
  addSite(options: SiteOptions): Added;
  setWay(site: number, way: Way): boolean;
  fetch(options: FetchOptions & { readonly id: number }): boolean;
  putObject(ticket: number, object: MadeObject): boolean;
  refuseObject(ticket: number, refusal: ObjectRefusal): boolean;
  purge(site: number, path: string): number;
  setRelay(options: RelayOptions | null): void;
  openRelay(group: string, stream: number): boolean;
  refuseRelay(group: string, refusal: ObjectRefusal): boolean;
  setLimits(listener: number, limits: ListenerLimits): boolean;
  setTokens(site: number, rule: TokenRule): boolean;
  setAccessLog(options: AccessLogOptions | null): void;
  /** `slots` has one for each loop. */
  listen(options: ListenOptions): Added & { readonly port: number; readonly fd: number; readonly slots: number[] };
  serve(listener: number): boolean;
  remove(handle: number): boolean;
  setRoute(path: string, route: Route): void;
  deleteRoute(path: string): void;
  viewers(): RawViewer[];
  counters(): {
    readonly table: ArrayBuffer;
    readonly slotWords: number;
    /** In the order of the loops. */
    readonly loopSlots: readonly number[];
    readonly objectSlot: number;
    readonly fetchSlot: number;
    readonly accessLogSlot: number;
    readonly relaySlot: number;
  };
  close(): void;
}

/** `TsClip` of native/addon/capture.h: a clip of MPEG-TS that can be played endlessly. */
export interface RawClip {
  info(): unknown;
  render(segment: number, loop: number): Uint8Array;
}

/** `Router` of native/addon/router_object.h. */
export type RawRouter = Omit<RouterApi, 'families' | 'onEvent'>;

export interface Addon {
  readonly Router: new (options: RouterOptions, onEvents: (events: RouterEvent[]) => void) => RawRouter;
  readonly Plane: new (options: RawPlaneOptions, onEvents: (events: RawEvent[]) => void) => RawPlane;
  /** Of native/addon/control_capture_object.h. */
  readonly ControlCapture: new (
    options: ControlCaptureOptions,
  ) => ControlCapture;
  readonly TsClip: new (ts: Uint8Array, options: { readonly segmentMs: number }) => RawClip;
  readCapture(path: string): CaptureFlows;
  scanCapture(path: string): CaptureSummary;
  /** The four of native/addon/service.h. */
  notifyService(socket: string, state: string, descriptors: readonly number[]): void;
  inheritListener(fd: number): string | null;
  dropInherited(fd: number): void;
  udpOffload(): UdpOffload;
  /** The order of the counters, in snake case. */
  readonly counterNames: Readonly<Record<string, readonly string[]>>;
}

/** What the kernel can do for batches of datagrams. */
export interface UdpOffload {
  /** UDP_SEGMENT */
  readonly segmentation: boolean;
  /** UDP_GRO */
  readonly coalescing: boolean;
}

const PACKAGE_ROOT_STEPS = 4;
let loaded: Addon | undefined;

/** Loads the addon once; ADDON_MISSING tells how to build it. */
export function loadAddon(): Addon {
  loaded ??= load();
  return loaded;
}

/** A program that was built beside the addon. */
export function programBesideAddon(name: string): string {
  return join(dirname(find(createRequire(import.meta.url))), name);
}

function load(): Addon {
  const require = createRequire(import.meta.url);
  try {
    return require(process.env.SLUICE_ADDON ?? find(require)) as Addon;
  } catch (error) {
    throw new SluiceError(
      'ADDON_MISSING',
      `the native addon could not be loaded: run \`npm run build\` in a checkout, install the package again elsewhere (${error instanceof Error ? error.message : String(error)})`,
      {},
      { cause: error },
    );
  }
}

/** What was built here, else what was built beforehand: both stand beside the package's own package.json. */
function find(require: NodeJS.Require): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let step = 0; step < PACKAGE_ROOT_STEPS && !existsSync(join(folder, 'package.json')); step++) {
    folder = dirname(folder);
  }
  const { path } = require('node-gyp-build') as { readonly path: (folder: string) => string };
  return path(folder);
}
