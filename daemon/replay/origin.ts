/** Captures as an endless live HTTP origin: HLS and continuous MPEG-TS. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type Clock, systemClock } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import { type Endpoint, formatEndpoint } from '../config/units.js';
import { writeMasterPlaylist } from '../protocols/hls/write.js';
import { answerBytes, answerEndless, answerStatus, answerText, type Body } from './answers.js';
import { ContinuousViewers } from './continuous.js';
import { type OriginStats, RequestCounts, type RequestKind } from './counts.js';
import type { LiveClip } from './live-clip.js';

const PLAYLIST: Body = { type: 'application/vnd.apple.mpegurl', cacheControl: 'no-cache' };
const SEGMENT: Body = { type: 'video/mp2t', cacheControl: 'max-age=60' };
const CONTINUOUS: Body = { type: 'video/mp2t', cacheControl: 'no-store' };
const JSON_BODY: Body = { type: 'application/json', cacheControl: 'no-store' };
/** An edge that polls once per segment keeps its connection. */
const KEEP_ALIVE_MS = 65_000;

export interface OriginOptions {
  readonly clips: readonly LiveClip[];
  /** Port 0 picks a free one. */
  readonly listen: Endpoint;
  readonly clock?: Clock;
}

/** A running origin. */
export interface Origin {
  /** `http://ADDRESS:PORT` */
  readonly url: string;
  readonly port: number;
  stats(): OriginStats;
  /** Ends all connections. Idempotent. */
  close(): Promise<void>;
}

/** What a path stands for. */
interface Target {
  readonly kind: RequestKind;
  readonly clip?: LiveClip;
  readonly number?: number;
  /** Before the segments' names in a playlist. */
  readonly prefix?: string;
}

/**
 * Serves the clips:
 *
 *   /master.m3u8  /NAME/index.m3u8 (or /NAME.m3u8)  /NAME/N.ts  /NAME.ts  /stats
 *
 * @throws SluiceError ADDRESS_IN_USE or ADDRESS_INVALID
 */
export async function startOrigin({ clips, listen, clock = systemClock }: OriginOptions): Promise<Origin> {
  const origin = new OriginServer(clips, clock);
  const { address, port } = await origin.listen(listen);
  return {
    url: `http://${formatEndpoint({ address, port })}`,
    port,
    stats: () => origin.counts.stats(),
    close: () => origin.close(),
  };
}

class OriginServer {
  readonly counts: RequestCounts;
  private readonly clips: ReadonlyMap<string, LiveClip>;
  private readonly continuous: ContinuousViewers;
  private readonly server: Server;

  constructor(
    clips: readonly LiveClip[],
    private readonly clock: Clock,
  ) {
    this.clips = new Map(clips.map((clip) => [clip.name, clip]));
    this.counts = new RequestCounts([...this.clips.keys()]);
    this.continuous = new ContinuousViewers(clock, () => this.counts.stalled++);
    this.server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) =>
      this.answer(request, response),
    );
    this.server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      this.counts.connected(socket);
    });
  }

  listen({ address, port }: Endpoint): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'ADDRESS_INVALID';
        const place = formatEndpoint({ address, port });
        reject(
          new SluiceError(code, `replay: expected a free address, got ${error.code ?? error.message} for ${place}`),
        );
      });
      this.server.listen(port, address, () => resolve(this.server.address() as AddressInfo));
    });
  }

  close(): Promise<void> {
    this.continuous.close();
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const target = this.resolve(path);
    this.counts.requested(request.socket, path, target.kind, target.clip?.name);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answerStatus(response, 405, { allow: 'GET, HEAD' });
      return;
    }
    this.answerTarget(request, response, target);
  }

  private answerTarget(request: IncomingMessage, response: ServerResponse, target: Target): void {
    const { kind, clip, number = 0, prefix = '' } = target;
    const now = this.clock.wall();
    if (kind === 'master') answerText(request, response, PLAYLIST, this.master());
    else if (kind === 'stats') answerText(request, response, JSON_BODY, `${JSON.stringify(this.counts.stats())}\n`);
    else if (clip === undefined) answerStatus(response, 404);
    else if (kind === 'playlist') answerText(request, response, PLAYLIST, clip.playlist(now, prefix));
    else if (kind === 'continuous') this.answerContinuous(request, response, clip);
    else if (clip.isAvailable(number, now)) answerBytes(request, response, SEGMENT, clip.segment(number));
    else answerStatus(response, 404);
  }

  private answerContinuous(request: IncomingMessage, response: ServerResponse, clip: LiveClip): void {
    answerEndless(response, CONTINUOUS);
    if (request.method === 'HEAD') response.end();
    else this.continuous.add(clip, response);
  }

  private master(): string {
    return writeMasterPlaylist(
      [...this.clips.values()].map(({ name, peakBandwidth, averageBandwidth }) => ({
        uri: `${name}/index.m3u8`,
        bandwidth: peakBandwidth,
        averageBandwidth,
        resolution: null,
        codecs: null,
      })),
    );
  }

  private resolve(path: string): Target {
    if (path === '/master.m3u8') return { kind: 'master' };
    if (path === '/stats') return { kind: 'stats' };
    const match = /^\/([a-z0-9-]+)(?:\/(index\.m3u8|(\d{1,15})\.ts)|(\.m3u8)|(\.ts))$/.exec(path);
    const clip = this.clips.get(match?.[1] ?? '');
    if (match === null || clip === undefined) return { kind: 'other' };
    if (match[3] !== undefined) return { kind: 'segment', clip, number: Number(match[3]) };
    if (match[5] !== undefined) return { kind: 'continuous', clip };
    return { kind: 'playlist', clip, prefix: match[4] === undefined ? '' : `${clip.name}/` };
  }
}
