import type { Clock, Timer } from '../base/clock.js';
import { describeError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { Registry, Row } from '../base/registry.js';
import type { Reloadable, ReloadPlan } from '../base/reloadable.js';
import type { PlaneApi, PlaneEvent, Route, StreamHandle } from '../plane/contract.js';
import { urlsOf } from './media-url.js';
import { type OtherViewers, offerStreamMetrics } from './metrics.js';
import { type Channel, channelOf, planChannels } from './reload.js';
import { Rendition, type RenditionContext } from './rendition.js';
import { masterPath, RouteTable } from './routes.js';
import { type ChannelConfig, locationsOf, type RenditionConfig } from './settings.js';
import { Guide } from './source/guide.js';
import { Resolver } from './source/resolver.js';
import { UpstreamRules } from './source/upstream-rules.js';
import type { ChannelStatus, RenditionState, ViewerStatus, WhyAnswer } from './status.js';
import { explainChannel, whySentences } from './why.js';

export interface ChannelServiceOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly clock: Clock;
  /** `http://HOST:PORT` under which viewers reach the front, without a slash at the end; read when it is needed. */
  readonly httpBase: string | (() => string);
  /** For `User-Agent: Sluice/VERSION`. */
  readonly version?: string;
  /** As Math.random; the jitter of retries. */
  readonly random?: () => number;
  /** Streams that are of no channel, with their names: their viewers are told about, too. */
  readonly others?: () => ReadonlyMap<StreamHandle, string>;
  /** The way to sources; when absent, one that lets itself be led to the hosts of these channels and the Internet. */
  readonly guide?: Guide;
}

const TICK_MS = 1_000;

const CHANNEL_COLUMNS = [
  'stream',
  'state',
  'source',
  'connections',
  'bitrate',
  'buffer_ms',
  'smoothing_ms',
  'viewers',
  'drops',
  'multicast',
  'reason',
];
const VIEWER_COLUMNS = ['id', 'stream', 'remote', 'connected_s', 'bytes', 'drops', 'lag_bytes', 'user_agent'];

interface ChannelSettings {
  readonly channels: readonly ChannelConfig[];
}

/** All channels of the daemon: set up from the configuration, supplied, sent, routed, told about. */
export class ChannelService implements Reloadable<ChannelSettings> {
  readonly covers = ['channels'];
  readonly #plane: PlaneApi;
  readonly #options: ChannelServiceOptions;
  readonly #context: RenditionContext;
  #channels: readonly Channel[];
  readonly #table: RouteTable;
  /** What the front was told, by path, as JSON. */
  readonly #routes = new Map<string, string>();
  #withdraw: (() => void)[] = [];
  #timer: Timer | null = null;

  /** @param channels as checked by `channelsSchema` */
  constructor(plane: PlaneApi, channels: readonly ChannelConfig[], options: ChannelServiceOptions) {
    this.#plane = plane;
    this.#options = options;
    this.#context = this.#createContext();
    this.#channels = channels.map((config) =>
      channelOf(
        config,
        config.renditions.map((rendition) => this.#create(config, rendition)),
      ),
    );
    // RFC 8866 section 5.2 recommends a timestamp, so that a restarted daemon gives a new description.
    this.#table = new RouteTable(Math.round(options.clock.wall() / 1000));
  }

  /** Begins to play everything. One stream that cannot be set up does not keep the others down. */
  async start(): Promise<void> {
    if (this.#timer !== null) return;
    const { metrics, registry, clock } = this.#options;
    this.#withdraw = [
      this.#plane.onEvent((event) => this.#take(event)),
      offerStreamMetrics(
        metrics,
        () => this.#renditions(),
        () => this.#otherViewers(),
      ),
      registry.offer('channels', { columns: CHANNEL_COLUMNS, rows: () => this.#channelRows() }),
      registry.offer('viewers', { columns: VIEWER_COLUMNS, rows: () => this.#viewerRows() }),
      registry.explain('channel', (id) => this.#explain(id)),
    ];
    for (const rendition of this.#renditions()) rendition.start();
    this.#timer = clock.setInterval(() => this.#tick(), TICK_MS, false);
    this.#applyRoutes();
  }

  /** Ends everything. Idempotent. */
  async stop(): Promise<void> {
    if (this.#timer === null) return;
    this.#timer.cancel();
    this.#timer = null;
    for (const withdraw of this.#withdraw.splice(0)) withdraw();
    for (const path of this.#routes.keys()) this.#plane.deleteRoute(path);
    this.#routes.clear();
    await Promise.all(this.#renditions().map((rendition) => rendition.stop()));
  }

  /** All channels as they stand, in the order of the configuration. */
  channels(): ChannelStatus[] {
    return this.#channels.map((channel) => this.#status(channel));
  }

  /** The continuous viewers that are connected now. */
  async viewers(): Promise<ViewerStatus[]> {
    const names = new Map(this.#options.others?.());
    for (const rendition of this.#renditions())
      if (rendition.stream !== null) names.set(rendition.stream, rendition.name);
    return (await this.#plane.viewers()).map((viewer) => ({
      id: viewer.id,
      stream: names.get(viewer.stream) ?? '',
      remote: viewer.remote,
      userAgent: viewer.userAgent,
      connectedSeconds: viewer.connectedMs / 1000,
      bytes: viewer.bytes,
      drops: viewer.drops,
      lagBytes: viewer.lagBytes,
    }));
  }

  /** The ring of `CHANNEL/RENDITION`, or null while there is none. */
  stream(name: string): StreamHandle | null {
    return this.#renditions().find((one) => one.name === name)?.stream ?? null;
  }

  /** Every HTTP URL that the channels' sources are configured with. */
  urls(): readonly string[] {
    return this.#channels.flatMap(({ config }) => config.renditions.flatMap((one) => urlsOf(locationsOf(one))));
  }

  /** Why the channel is as it is; undefined when there is none of that id. */
  why(id: string): WhyAnswer | undefined {
    const channel = this.#channels.find((one) => one.id === id);
    return channel === undefined ? undefined : explainChannel(this.#status(channel), channel.renditions);
  }

  /** Channels and renditions are told apart by their ids; what is the same is not touched. */
  plan(_old: ChannelSettings, { channels: next }: ChannelSettings): ReloadPlan {
    const steps = planChannels(
      {
        running: this.#channels,
        create: (channel, rendition) => this.#create(channel, rendition),
        adopt: (channels) => this.#adopt(channels),
      },
      next,
    );
    return { steps };
  }

  #create(channel: ChannelConfig, rendition: RenditionConfig): Rendition {
    return new Rendition(this.#context, channel, rendition);
  }

  #adopt(channels: readonly Channel[]): void {
    this.#channels = channels;
    this.#applyRoutes();
  }

  #createContext(): RenditionContext {
    const { clock, log, httpBase, version = '0', random = Math.random, guide } = this.#options;
    const base = typeof httpBase === 'string' ? (): string => httpBase : httpBase;
    return {
      plane: this.#plane,
      clock,
      log,
      guide:
        guide ?? new Guide(new Resolver(clock), new UpstreamRules(undefined, () => this.urls()), `Sluice/${version}`),
      random,
      httpBase: base,
    };
  }

  #httpBase(): string {
    const { httpBase } = this.#options;
    return typeof httpBase === 'string' ? httpBase : httpBase();
  }

  #renditions(): Rendition[] {
    return this.#channels.flatMap((channel) => channel.renditions);
  }

  #otherViewers(): OtherViewers[] {
    return [...(this.#options.others?.() ?? [])].map(([stream, name]) => ({
      name,
      continuous: this.#plane.streamCounters(stream).viewersContinuous,
    }));
  }

  #take(event: PlaneEvent): void {
    if (event.type === 'upstream-head') {
      for (const rendition of this.#renditions()) rendition.head(event.upstream, event.status);
      return;
    }
    // Objects are the delivery's, groups by their addresses the relays', and of captures and replays the daemon has none.
    if (event.type !== 'source-fault' && event.type !== 'stream-ready') return;
    const rendition = this.#renditions().find((one) => one.stream === event.stream);
    if (event.type === 'source-fault') rendition?.fault(event.code, event.detail);
    else rendition?.becameReady();
    this.#applyRoutes();
  }

  #tick(): void {
    for (const rendition of this.#renditions()) rendition.tick();
    this.#applyRoutes();
  }

  /** Tells the front what has changed. */
  #applyRoutes(): void {
    const wanted = this.#table.routes(this.#channels, this.#httpBase());
    for (const path of this.#routes.keys()) if (!wanted.has(path)) this.#deleteRoute(path);
    for (const [path, route] of wanted) this.#setRoute(path, route);
  }

  #setRoute(path: string, route: Route): void {
    const told = JSON.stringify(route);
    if (this.#routes.get(path) === told) return;
    try {
      this.#plane.setRoute(path, route);
      this.#routes.set(path, told);
    } catch (error) {
      this.#options.log.error({ path, err: describeError(error) }, 'the route cannot be set');
    }
  }

  #deleteRoute(path: string): void {
    this.#plane.deleteRoute(path);
    this.#routes.delete(path);
  }

  #status(channel: Channel): ChannelStatus {
    const renditions = channel.renditions.map((rendition) => rendition.status());
    return {
      id: channel.id,
      name: channel.name,
      state: overall(renditions.map((rendition) => rendition.state)),
      viewers: renditions.reduce((sum, { viewers }) => sum + viewers.continuous + viewers.hls, 0),
      connections: renditions.reduce((sum, { source }) => sum + source.connections, 0),
      hls: this.#httpBase() + masterPath(channel.id),
      renditions,
    };
  }

  #channelRows(): Row[] {
    return this.channels().flatMap((channel) =>
      channel.renditions.map((rendition) => ({
        stream: rendition.stream,
        state: rendition.state,
        source: rendition.source.url,
        connections: rendition.source.connections,
        bitrate: rendition.bitrate,
        buffer_ms: Math.round(rendition.ring.bufferLevelMs),
        smoothing_ms: rendition.smoothing.active ? Math.round(rendition.smoothing.delayMs) : null,
        viewers: rendition.viewers.continuous + rendition.viewers.hls,
        drops: rendition.viewers.drops + rendition.ring.fullDrops + (rendition.multicast?.drops ?? 0),
        multicast: rendition.multicast?.url ?? null,
        reason: rendition.code === null ? null : `${rendition.code}: ${rendition.reason}`,
      })),
    );
  }

  async #viewerRows(): Promise<Row[]> {
    return (await this.viewers()).map((viewer) => ({
      id: viewer.id,
      stream: viewer.stream,
      remote: viewer.remote,
      connected_s: Math.round(viewer.connectedSeconds),
      bytes: viewer.bytes,
      drops: viewer.drops,
      lag_bytes: viewer.lagBytes,
      user_agent: viewer.userAgent,
    }));
  }

  #explain(id: string): string[] | undefined {
    const answer = this.why(id);
    return answer === undefined ? undefined : whySentences(answer);
  }
}

function overall(states: readonly RenditionState[]): ChannelStatus['state'] {
  const flowing = states.filter((state) => state === 'flowing').length;
  if (flowing === states.length) return 'flowing';
  return flowing > 0 ? 'degraded' : 'down';
}
