import { writeFileSync } from 'node:fs';
import { compile } from '../../test/lab/lib/compile.js';
import type { Child } from '../../test/lab/lib/process.js';
import { peerPath } from '../lib/peer.js';
import { EDGE_SOURCE_ADDRESS, TOWARDS_SOURCE, type Topology } from '../lib/topology.js';
import { HTTP_PORT, LIVE_PATH, startDaemon } from '../main-job/daemon.js';
import { INPUT_PORT, inputGroup } from '../main-job/source.js';

/** Enough for seconds of the channel; the same for ours and the bare program. */
export const RING_BYTES = 4 * 2 ** 20;
export const DELAY_MS = 300;

/** A server of one live channel over HTTP, on {@link HTTP_PORT} of the edge. */
export interface Server {
  readonly name: string;
  /** Where the channel of a rate is. */
  path(megabits: number): string;
  start(topology: Topology, megabits: number): Promise<Child>;
}

/** Compiles one of the bench's programs. */
export function tool(name: 'httpsink' | 'bare-http'): Promise<string> {
  return compile(`bench-${name}`, [`bench/http-fanout/${name}.cc`], { headers: ['bench/lib'] });
}

const rtpPath = (megabits: number): string => `/rtp/${inputGroup(megabits)}:${INPUT_PORT}`;

export const ours: Server = {
  name: 'sluice',
  path: () => LIVE_PATH,
  start: (topology, megabits) => startDaemon(topology, { megabits, ringBytes: RING_BYTES, delayMs: DELAY_MS }),
};

export const bare: Server = {
  name: 'bare-http',
  path: () => '/',
  start: (topology, megabits) => startBare(topology, inputGroup(megabits)),
};

/** The bare program on any group. */
export async function startBare({ edge }: Topology, group: string): Promise<Child> {
  const input = [group, String(INPUT_PORT), EDGE_SOURCE_ADDRESS];
  return edge.spawn('bare-http', [await tool('bare-http'), ...input, String(HTTP_PORT), String(RING_BYTES)]);
}

const udpxy: Server = {
  name: 'udpxy',
  path: rtpPath,
  start: ({ edge }) =>
    edge.spawn('udpxy', [peerPath('udpxy'), '-T', '-p', String(HTTP_PORT), '-m', TOWARDS_SOURCE, '-c', '5000']),
};

const rtp2httpd: Server = {
  name: 'rtp2httpd',
  path: rtpPath,
  start({ edge }) {
    // 256 clients is the most that it takes; its own pool of buffers is too small for as many.
    const options = ['-C', '-v', '1', '-m', '256', '-w', '1', '-b', '131072'];
    const args = [...options, '-r', TOWARDS_SOURCE, '-l', String(HTTP_PORT)];
    return edge.spawn('rtp2httpd', [peerPath('rtp2httpd'), ...args]);
  },
};

/**
 * Settings of msd_lite that decide what a viewer costs. `stock` are those of its example configuration; `uncorked` leaves out
 * TCP_CORK, which holds back the end of every piece, and the burst at the begin, and has a ring as large as ours.
 */
const MSD_LITE = {
  stock: {
    bind: 'yes',
    hub: '<fSocketTCPNoPush>yes</fSocketTCPNoPush><precache>4096</precache><ringBufSize>1024</ringBufSize>',
    socket: '<congestionControl>htcp</congestionControl>',
  },
  uncorked: { bind: 'no', hub: `<precache>0</precache><ringBufSize>${RING_BYTES / 1024}</ringBufSize>`, socket: '' },
} as const;

function msdLite(name: string, settings: (typeof MSD_LITE)[keyof typeof MSD_LITE]): Server {
  return {
    name,
    path: rtpPath,
    start({ edge, lab }) {
      const file = lab.file('msd_lite.conf');
      writeFileSync(file, msdLiteConfiguration(settings));
      return edge.spawn('msd_lite', [peerPath('msd_lite'), '-c', file]);
    },
  };
}

function msdLiteConfiguration({ bind, hub, socket }: (typeof MSD_LITE)[keyof typeof MSD_LITE]): string {
  return `<?xml version="1.0" encoding="utf-8"?>
<msd>
 <log><level>3</level></log>
 <threadPool><threadsCountMax>1</threadsCountMax><fBindToCPU>${bind}</fBindToCPU></threadPool>
 <HTTP>
  <bindList><bind><address>0.0.0.0:${HTTP_PORT}</address></bind></bindList>
  <hostnameList><hostname>*</hostname></hostnameList>
 </HTTP>
 <hubProfileList><hubProfile>
  <fDropSlowClients>no</fDropSlowClients><fSocketHalfClosed>no</fSocketHalfClosed><fSocketTCPNoDelay>yes</fSocketTCPNoDelay>
  ${hub}
  <skt><sndBuf>512</sndBuf><sndLoWatermark>64</sndLoWatermark>${socket}</skt>
 </hubProfile></hubProfileList>
 <sourceProfileList><sourceProfile>
  <skt><rcvBuf>512</rcvBuf><rcvLoWatermark>48</rcvLoWatermark><rcvTimeout>2</rcvTimeout></skt>
  <multicast><ifName>${TOWARDS_SOURCE}</ifName><rejoinTime>0</rejoinTime></multicast>
 </sourceProfile></sourceProfileList>
</msd>
`;
}

/** What operators run today. */
export const peers: readonly Server[] = [
  udpxy,
  msdLite('msd_lite', MSD_LITE.stock),
  msdLite('msd_lite, uncorked', MSD_LITE.uncorked),
  rtp2httpd,
];

/** Stands in the notes of every case with the peers. */
export const PEER_NOTES: readonly string[] = [
  'msd_lite: its example configuration but for addresses (TCP_CORK on, 4 MiB at the begin, a ring of 1 MiB; its htcp is not in this kernel and the system’s congestion control stays)',
  'msd_lite, uncorked: without TCP_CORK and the burst at the begin, with a ring of 4 MiB',
];
