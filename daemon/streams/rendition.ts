import { randomInt } from 'node:crypto';
import { hostname } from 'node:os';
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { smoothingOptions } from '../config/smoothing.js';
import {
  type PlaneApi,
  type SourceFaultCode,
  STREAM_COUNTERS,
  type StreamCounters,
  type StreamHandle,
  type UpstreamHandle,
} from '../plane/contract.js';
import { isSpread, type RenditionChange, type RenditionSettings } from './rendition-change.js';
import { repairStatus, sentRepairStatus } from './repair-status.js';
import { MulticastSender } from './sender.js';
import { type ChannelConfig, locationsOf, type MulticastConfig, type RenditionConfig } from './settings.js';
import { probeGroups } from './source/probe.js';
import { RenditionSource, type SourceState, type SourceTools } from './source/rendition-source.js';
import type { MulticastStatus, RenditionStatus, SourceStatus } from './status.js';

/** What all renditions of a daemon share. */
export interface RenditionContext extends SourceTools {
  httpBase(): string;
}

const SPREAD_MS = 200;

const NOTHING = Object.fromEntries(STREAM_COUNTERS.map((name) => [name, 0])) as StreamCounters;

interface Rates {
  readonly at: number;
  readonly bytesIn: number;
  readonly bytesSent: number;
  readonly bytesViewed: number;
  readonly inBps: number;
  readonly sentBps: number;
  readonly viewedBps: number;
}

/** A change that is prepared: one of the two is called, once. */
export interface PendingChange {
  /** Takes it over and lets go of what it replaces. */
  commit(): Promise<void>;
  /** Gives back what was taken for it. */
  undo(): void;
}

/** One rendition of a channel: its stream, what supplies it and what sends it. */
export class Rendition {
  /** `CHANNEL/RENDITION` */
  readonly name: string;
  readonly #context: RenditionContext;
  readonly #log: Logger;
  #settings: RenditionSettings;
  #stream: StreamHandle | null = null;
  #source: RenditionSource | null = null;
  #sender: MulticastSender | null = null;
  #refused: SourceState | null = null;
  #ready = false;
  #rates: Rates;

  constructor(context: RenditionContext, channel: ChannelConfig, config: RenditionConfig) {
    this.#context = context;
    this.#settings = { channel, config };
    this.name = `${channel.id}/${config.id}`;
    this.#log = context.log.child({ stream: this.name });
    this.#rates = {
      at: context.clock.now(),
      bytesIn: 0,
      bytesSent: 0,
      bytesViewed: 0,
      inBps: 0,
      sentBps: 0,
      viewedBps: 0,
    };
  }

  get channel(): ChannelConfig {
    return this.#settings.channel;
  }

  get config(): RenditionConfig {
    return this.#settings.config;
  }

  /** The ring, or null while there is none. */
  get stream(): StreamHandle | null {
    return this.#stream;
  }

  /** A random access point is in the ring: viewers can be served. */
  get ready(): boolean {
    return this.#ready;
  }

  get sender(): MulticastSender | null {
    return this.#sender;
  }

  /** State of the source, or why there is no stream at all. */
  get state(): SourceState {
    return this.#refused ?? this.#source?.state ?? { state: 'stopped', error: null, since: this.#context.clock.wall() };
  }

  /** Sets up the stream and begins to play. What cannot be set up is shown as failed; never throws. */
  start(): void {
    const { plane, clock } = this.#context;
    try {
      this.#stream = plane.addStream(this.#streamOptions());
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#refused = { state: 'failed', error, since: clock.wall() };
      this.#log.error({ err: error }, 'the stream cannot be set up');
      return;
    }
    this.#refused = null;
    if (this.config.multicast !== undefined) {
      this.#sender = this.#createSender(this.#stream, this.config.multicast);
      this.#sender.check();
    }
    this.begin();
  }

  /**
   * Takes the ring and the sender, and tries the groups of the source; {@link begin} is what plays. Unlike at a start nothing
   * is waited for: whoever changes a running daemon wants to know.
   * @throws SluiceError of what cannot be had; nothing is kept then
   */
  reserve(): void {
    const { plane } = this.#context;
    const stream = plane.addStream(this.#streamOptions());
    try {
      probeGroups(plane, locationsOf(this.config));
      if (this.config.multicast !== undefined) this.#sender = this.#openSender(stream, this.config.multicast);
    } catch (error) {
      plane.removeStream(stream);
      throw error;
    }
    this.#stream = stream;
  }

  /** Begins to play into what was reserved. */
  begin(): void {
    if (this.#stream === null || this.#source !== null) return;
    this.#source = this.#createSource(this.#stream);
    this.#source.start();
  }

  /**
   * Takes what a changed configuration needs beside what runs. The stream stays, with its viewers and its sequence numbers.
   * @param change without `stream`
   * @throws SluiceError of what cannot be had; nothing has changed then
   */
  prepareChange(settings: RenditionSettings, change: RenditionChange): PendingChange {
    const { multicast } = settings.config;
    if (change.source) probeGroups(this.#context.plane, locationsOf(settings.config));
    const sender =
      change.sender && multicast !== undefined && this.#stream !== null
        ? this.#openSender(this.#stream, multicast)
        : null;
    return {
      undo: () => sender?.stop(),
      commit: async () => {
        this.#settings = settings;
        if (change.sender) this.#replaceSender(sender);
        if (change.source) await this.#replaceSource();
      },
    };
  }

  #replaceSender(sender: MulticastSender | null): void {
    const old = this.#sender;
    old?.stop();
    if (old !== null) sender?.goOnFrom(old.counters());
    this.#sender = sender;
  }

  async #replaceSource(): Promise<void> {
    await this.#source?.stop();
    this.#source = null;
    this.begin();
  }

  /** Ends everything. Idempotent. */
  async stop(): Promise<void> {
    await this.#source?.stop();
    this.#sender?.stop();
    if (this.#stream !== null) this.#context.plane.removeStream(this.#stream);
    this.#source = null;
    this.#sender = null;
    this.#stream = null;
    this.#ready = false;
  }

  /** The plane has put the first random access point into the ring. */
  becameReady(): void {
    if (!this.#ready) this.#log.info('ready: viewers can be served');
    this.#ready = true;
  }

  /** The plane cannot use what the source gives. */
  fault(code: SourceFaultCode, detail: string): void {
    // What is in the ring leads nowhere any more; the plane says when there is something to begin with again.
    this.#ready = false;
    this.#source?.fault(new SluiceError(code, detail, { stream: this.name }));
  }

  head(upstream: UpstreamHandle, status: number): void {
    this.#source?.head(upstream, status);
  }

  /** Once a second: rates, and what has to be looked after. */
  tick(): void {
    this.#sender?.check();
    const at = this.#context.clock.now();
    const { bytesIn, viewerBytes: bytesViewed } = this.counters();
    const bytesSent = this.#sender?.counters().bytes ?? 0;
    const last = this.#rates;
    const seconds = Math.max(0.001, (at - last.at) / 1000);
    const rate = (now: number, before: number): number => Math.max(0, Math.round(((now - before) * 8) / seconds));
    this.#rates = {
      at,
      bytesIn,
      bytesSent,
      bytesViewed,
      inBps: rate(bytesIn, last.bytesIn),
      sentBps: rate(bytesSent, last.bytesSent),
      viewedBps: rate(bytesViewed, last.bytesViewed),
    };
  }

  counters(): StreamCounters {
    return this.#stream === null ? NOTHING : this.#context.plane.streamCounters(this.#stream);
  }

  /** Totals of the source's connection. */
  source(): SourceStatus & { readonly wireBytes: number } {
    if (this.#source !== null) return { ...this.#source.status(), wireBytes: this.#source.wireBytes };
    const first = locationsOf(this.config)[0];
    const kind = first?.kind ?? 'http';
    const requests = { playlist: 0, segment: 0, key: 0, stream: 0 };
    return {
      url: first?.display ?? '',
      kind,
      connections: 0,
      connects: 0,
      requests,
      retries: 0,
      segmentsSkipped: 0,
      wireBytes: 0,
    };
  }

  status(): RenditionStatus {
    const counters = this.counters();
    const { state, error, since } = this.state;
    const { wireBytes: _, ...source } = this.source();
    return {
      id: this.config.id,
      stream: this.name,
      state,
      code: error?.code ?? null,
      reason: error?.message ?? null,
      since,
      ready: this.#ready,
      loop: this.#stream === null ? null : this.#context.plane.loopOf(this.#stream),
      bitrate: counters.bitrate,
      source,
      input: this.#inputStatus(counters),
      repair: this.repair,
      ring: {
        usedBytes: counters.ringUsedBytes,
        sizeBytes: counters.ringSizeBytes,
        bufferLevelMs: counters.bufferLevelUs / 1000,
        underruns: counters.underruns,
        fullDrops: counters.ringFullDrops,
        clockPpm: counters.clockPpb / 1000,
      },
      smoothing: this.#smoothingStatus(counters),
      multicast: this.#multicastStatus(),
      viewers: {
        continuous: counters.viewersContinuous,
        hls: counters.viewersSegmented,
        bytes: counters.viewerBytes,
        bitsPerSecond: this.#rates.viewedBps,
        drops: counters.viewerDrops,
        dropBytes: counters.viewerDropBytes,
      },
      urls: this.#urls(),
    };
  }

  #inputStatus(counters: StreamCounters): RenditionStatus['input'] {
    return {
      bytes: counters.bytesIn,
      packets: counters.packetsIn,
      bitsPerSecond: this.#rates.inBps,
      syncErrors: counters.syncErrors,
      continuityErrors: counters.continuityErrors,
      transportErrors: counters.transportErrors,
      discontinuities: counters.discontinuities,
      lastInputAgeMs:
        counters.bytesIn === 0 ? null : Math.max(0, Math.round(this.#context.clock.now() - counters.lastInputMs)),
    };
  }

  /** What is repaired of the source, or null. */
  get repair(): RenditionStatus['repair'] {
    const counters = this.#source?.repairs ?? null;
    return counters === null ? null : repairStatus(counters);
  }

  #smoothingStatus(counters: StreamCounters): RenditionStatus['smoothing'] {
    const options = smoothingOptions(this.channel.smoothing);
    return {
      thresholdPercent: options?.thresholdPercent ?? null,
      maxDelayMs: options?.maxDelayMs ?? null,
      active: counters.smoothing === 1,
      meanRate: counters.meanRate,
      variationPercent: counters.rateVariation,
      peakRate: counters.peakRate,
      outputPeakRate: counters.outputPeakRate,
      delayMs: counters.smoothingDelayUs / 1000,
      delayMaxMs: counters.smoothingDelayMaxUs / 1000,
    };
  }

  #multicastStatus(): MulticastStatus | null {
    const config = this.config.multicast;
    if (config === undefined || this.#sender === null) return null;
    const counters = this.#sender.counters();
    const { packets, bytes, drops, errors, segmentation } = counters;
    const { fec, reed_solomon: block, retransmission, range_repair: range } = config;
    const repairs = [fec, block, retransmission, range].some((part) => part !== undefined);
    return {
      url: this.#sender.url,
      interface: config.interface ?? null,
      packets,
      bytes,
      bitsPerSecond: this.#rates.sentBps,
      drops,
      errors,
      segmentation: segmentation === 1,
      repair: repairs ? sentRepairStatus(counters, this.counters(), this.#sender.chosen) : null,
      fault: this.#sender.fault,
    };
  }

  #urls(): RenditionStatus['urls'] {
    const path = `${this.#context.httpBase()}/live/${this.name}`;
    return {
      hls: `${path}/index.m3u8`,
      ts: `${path}.ts`,
      sdp: this.config.multicast === undefined || this.config.multicast.numbering === 'field' ? null : `${path}.sdp`,
    };
  }

  #streamOptions(): Parameters<PlaneApi['addStream']>[0] {
    const { buffer, program = null } = this.config;
    return {
      name: this.name,
      ringBytes: buffer.memory,
      delayMs: buffer.delay,
      spreadMs: isSpread(this.config) ? SPREAD_MS : 0,
      smoothing: smoothingOptions(this.channel.smoothing),
      program,
      segmentMs: this.channel.hls.segment,
      windowSegments: this.channel.hls.window,
      // RFC 3550 section 8.1: chosen at random.
      ssrc: randomInt(2 ** 32),
      loop: this.channel.loop ?? null,
    };
  }

  #createSender(stream: StreamHandle, multicast: MulticastConfig): MulticastSender {
    const { plane, clock } = this.#context;
    return new MulticastSender(plane, clock, this.#log, stream, multicast, `${this.name}@${hostname()}`);
  }

  #openSender(stream: StreamHandle, multicast: MulticastConfig): MulticastSender {
    const sender = this.#createSender(stream, multicast);
    sender.open();
    return sender;
  }

  #createSource(stream: StreamHandle): RenditionSource {
    const { plane, clock, guide, random } = this.#context;
    const { format, max_bandwidth: maxBandwidth = null } = this.config;
    return new RenditionSource({
      plane,
      clock,
      log: this.#log,
      guide,
      random,
      stream,
      locations: locationsOf(this.config),
      format,
      maxBandwidth,
      packets: this.config,
    });
  }
}
