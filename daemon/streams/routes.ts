import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Route } from '../plane/contract.js';
import { type ListedVariant, writeMasterPlaylist } from '../protocols/hls/write.js';
import { writeM3u } from '../protocols/m3u/write.js';
import { type DescribedRepair, describeMulticast } from '../protocols/sdp/describe.js';
import type { Rendition } from './rendition.js';
import { announcedFec, fecOptionsOf, retransmissionOptionsOf } from './repair-settings.js';
import { isSourceSpecific } from './sender.js';
import type { MulticastConfig } from './settings.js';

/** A channel with its renditions, as routes are made of it. */
export interface RoutedChannel {
  readonly id: string;
  readonly name: string;
  readonly renditions: readonly Rendition[];
}

/** Before the first segment was measured and where nothing is configured. */
const UNKNOWN_BANDWIDTH = 1_000_000;
/** The listed bandwidth is changed when the measured one is above it, or this much below. */
const HYSTERESIS = 0.75;
const STEP = 50_000;

/** Type of a play list for IPTV players, and of an SDP (RFC 8866 section 8.1). */
const M3U_TYPE = 'audio/x-mpegurl';
const SDP_TYPE = 'application/sdp';
const HLS_TYPE = 'application/vnd.apple.mpegurl';

/** Decides what the viewers' front answers; the same object is asked again and again, so that bandwidths do not flutter. */
export class RouteTable {
  readonly #listed = new Map<string, number>();
  readonly #sessionId: number;

  /** @param sessionId for the SDPs' `o=`: the same while the daemon runs */
  constructor(sessionId: number) {
    this.#sessionId = sessionId;
  }

  /** Every path with its answer, as things stand. */
  routes(channels: readonly RoutedChannel[], httpBase: string): Map<string, Route> {
    const routes = new Map<string, Route>();
    for (const channel of channels) {
      for (const rendition of channel.renditions) this.#addRendition(routes, channel, rendition, httpBase);
      const master = this.#master(channel);
      if (master !== null) routes.set(masterPath(channel.id), master);
    }
    const names = new Set(channels.flatMap(({ renditions }) => renditions.map(({ name }) => name)));
    for (const name of this.#listed.keys()) if (!names.has(name)) this.#listed.delete(name);
    const hls = channels.map(({ id, name }) => ({ id, name, url: httpBase + masterPath(id) }));
    routes.set('/channels.m3u', text(M3U_TYPE, writeM3u(hls)));
    routes.set('/channels-multicast.m3u', text(M3U_TYPE, writeM3u(channels.flatMap(multicastEntries))));
    return routes;
  }

  #addRendition(routes: Map<string, Route>, channel: RoutedChannel, rendition: Rendition, httpBase: string): void {
    const { stream, config } = rendition;
    if (stream === null) return;
    const path = `/live/${rendition.name}`;
    routes.set(`${path}.ts`, { kind: 'continuous', stream });
    routes.set(`${path}/index.m3u8`, { kind: 'playlist', stream, prefix: '' });
    routes.set(`${path}/`, { kind: 'segments', stream });
    if (config.multicast === undefined) return;
    const { range_repair: range } = config.multicast;
    if (range !== undefined) routes.set(`${path}.rtp`, { kind: 'packets', stream, rate: range.rate });
    const name = channel.renditions.length > 1 ? `${channel.name} (${config.id})` : channel.name;
    // What has no RTP cannot be described as such.
    if (config.multicast.numbering === 'field') return;
    routes.set(`${path}.sdp`, text(SDP_TYPE, this.#sdp(name, config.multicast)));
    // Players take every medium of a description for one to be played: those of repair have a description of their own.
    const repair = describedRepair(config.multicast, `${httpBase}${path}.rtp`);
    if (repair !== null) routes.set(`${path}.repair.sdp`, text(SDP_TYPE, this.#sdp(name, config.multicast, repair)));
  }

  /**
   * The master playlist, of the renditions that are ready. Until one is, the path answers as the first rendition's playlist
   * does: 503, which players try again, where they give up at a 404.
   */
  #master(channel: RoutedChannel): Route | null {
    const ready = channel.renditions.filter((rendition) => rendition.ready && rendition.counters().segments > 0);
    if (ready.length > 0)
      return text(HLS_TYPE, writeMasterPlaylist(ready.map((rendition) => this.#variant(rendition))));
    const first = channel.renditions.find((rendition) => rendition.stream !== null);
    if (first === undefined || first.stream === null) return null;
    return { kind: 'playlist', stream: first.stream, prefix: `${first.config.id}/` };
  }

  #variant(rendition: Rendition): ListedVariant {
    const { config } = rendition;
    return {
      uri: `${config.id}/index.m3u8`,
      bandwidth: config.bandwidth ?? this.#measured(rendition),
      averageBandwidth: null,
      resolution: config.resolution ?? null,
      codecs: config.codecs ?? null,
    };
  }

  /** RFC 8216 section 4.3.4.2: BANDWIDTH is the peak; kept while it is neither too low nor far too high. */
  #measured(rendition: Rendition): number {
    const { segmentBitratePeak, bitrate } = rendition.counters();
    const peak = Math.max(segmentBitratePeak, segmentBitratePeak === 0 ? bitrate : 0);
    const listed = this.#listed.get(rendition.name) ?? 0;
    if (peak === 0) return listed === 0 ? UNKNOWN_BANDWIDTH : listed;
    if (peak <= listed && peak >= listed * HYSTERESIS) return listed;
    const next = Math.ceil((peak * 1.05) / STEP) * STEP;
    this.#listed.set(rendition.name, next);
    return next;
  }

  #sdp(name: string, config: MulticastConfig, repair?: DescribedRepair): string {
    const { address, port, ttl, source, interface: interfaceName } = config;
    return describeMulticast({
      name,
      sessionId: this.#sessionId,
      version: this.#sessionId,
      origin: source ?? ownAddress(interfaceName, isIP(address)),
      group: address,
      port,
      ttl,
      source: isSourceSpecific(address) ? (source ?? null) : null,
      numbered: config.numbering === 'rtp-extension',
      ...(repair === undefined ? {} : { repair }),
    });
  }
}

/** What receivers of a group may repair it with, or null where there is nothing. */
function describedRepair(
  { fec, reed_solomon: block, retransmission, repair_policy: policy, range_repair: range, port, dscp }: MulticastConfig,
  rangeUrl: string,
): DescribedRepair | null {
  const parity = policy === undefined ? fecOptionsOf(fec, block) : announcedFec(policy);
  const again = retransmissionOptionsOf(retransmission, port, dscp);
  if (parity === null && again === null && range === undefined) return null;
  return {
    parity: parity?.parity ?? null,
    block: parity?.block ?? null,
    parityType: parity?.payloadType ?? 96,
    retransmission:
      again === null
        ? null
        : {
            ...again,
            toGroup: again.multicastAfter > 0,
            tokens: again.tokenLifetimeMs !== null,
            acquisition: (again.acquisition ?? null) !== null,
          },
    range: range === undefined ? null : rangeUrl,
  };
}

export function masterPath(channelId: string): string {
  return `/live/${channelId}/index.m3u8`;
}

function text(contentType: string, body: string): Route {
  return { kind: 'static', contentType, body, cacheControl: 'no-cache' };
}

function multicastEntries(channel: RoutedChannel): { id: string; name: string; url: string }[] {
  const several = channel.renditions.length > 1;
  return channel.renditions.flatMap((rendition) => {
    const { sender, config } = rendition;
    if (sender === null) return [];
    // The "@" without a source is how VLC writes a group to listen to.
    const url = sender.url.includes('@') ? sender.url : sender.url.replace('rtp://', 'rtp://@');
    return [
      {
        id: several ? `${channel.id}.${config.id}` : channel.id,
        name: several ? `${channel.name} (${config.id})` : channel.name,
        url,
      },
    ];
  });
}

/** An address of the interface packets leave by, of the family 4 or 6; of any when none is named. */
function ownAddress(interfaceName: string | undefined, family: number): string {
  const all = networkInterfaces();
  const named =
    interfaceName === undefined ? Object.values(all).flatMap((list) => list ?? []) : (all[interfaceName] ?? []);
  const usable = named.filter((entry) => entry.family === `IPv${family}`);
  const best = usable.find((entry) => !entry.internal) ?? usable[0];
  return best?.address ?? (family === 6 ? '::1' : '127.0.0.1');
}
