import type { Socket } from 'node:net';

/** What a request was for. */
export type RequestKind = 'master' | 'playlist' | 'segment' | 'continuous' | 'stats' | 'other';

/** The most recent URIs that are counted one by one; segment names never end. */
const MAX_URIS = 4096;

interface Connections {
  total: number;
  open: number;
}

/** One rendition's share of {@link OriginStats}. */
export interface RenditionStats {
  /** Connections that asked for something of this rendition. */
  readonly connections: Connections;
  readonly requests: Record<'playlist' | 'segment' | 'continuous', number>;
}

/** What the origin was asked, since it was started. */
export interface OriginStats {
  /** All of them, those for the statistics included. */
  readonly connections: Connections;
  readonly requests: Record<RequestKind, number>;
  readonly renditions: Readonly<Record<string, RenditionStats>>;
  /** Requests by method and path, of the 4,096 paths asked for first most recently. */
  readonly uris: Readonly<Record<string, number>>;
  /** Continuous viewers that were cut off because they took nothing. */
  readonly stalled: number;
}

/** Counts connections and requests, so that a lab can prove how often an edge asks. */
export class RequestCounts {
  stalled = 0;
  private readonly connections: Connections = { total: 0, open: 0 };
  private readonly requests: Record<RequestKind, number> = {
    master: 0,
    playlist: 0,
    segment: 0,
    continuous: 0,
    stats: 0,
    other: 0,
  };
  private readonly renditions: Map<string, RenditionStats>;
  private readonly uris = new Map<string, number>();
  /** Renditions that a connection has asked for. */
  private readonly seen = new WeakMap<Socket, Set<string>>();

  constructor(names: readonly string[]) {
    this.renditions = new Map(names.map((name) => [name, emptyRendition()]));
  }

  connected(socket: Socket): void {
    this.seen.set(socket, new Set());
    countOpen(this.connections, socket);
  }

  requested(socket: Socket, uri: string, kind: RequestKind, name?: string): void {
    this.requests[kind]++;
    this.countUri(uri);
    const rendition = name === undefined ? undefined : this.renditions.get(name);
    if (name === undefined || rendition === undefined) return;
    if (kind === 'playlist' || kind === 'segment' || kind === 'continuous') rendition.requests[kind]++;
    const seen = this.seen.get(socket);
    if (seen === undefined || seen.has(name)) return;
    seen.add(name);
    countOpen(rendition.connections, socket);
  }

  stats(): OriginStats {
    return {
      connections: { ...this.connections },
      requests: { ...this.requests },
      renditions: structuredClone(Object.fromEntries(this.renditions)),
      uris: Object.fromEntries(this.uris),
      stalled: this.stalled,
    };
  }

  private countUri(uri: string): void {
    this.uris.set(uri, (this.uris.get(uri) ?? 0) + 1);
    if (this.uris.size <= MAX_URIS) return;
    const [oldest] = this.uris.keys();
    if (oldest !== undefined) this.uris.delete(oldest);
  }
}

function emptyRendition(): RenditionStats {
  return { connections: { total: 0, open: 0 }, requests: { playlist: 0, segment: 0, continuous: 0 } };
}

function countOpen(connections: Connections, socket: Socket): void {
  connections.total++;
  connections.open++;
  socket.once('close', () => connections.open--);
}
