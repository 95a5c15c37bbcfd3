import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Host } from '../lib/host.js';
import type { Lab } from '../lib/lab.js';
import type { End } from '../lib/link.js';
import { during, poll } from '../lib/poll.js';
import type { Child } from '../lib/process.js';
import { expect, type Report, Skip } from '../lib/report.js';
import { Capture } from './capture.js';
import { compared, pictures, sentMedia } from './media.js';
import { sluice, VIEWERS_PORT } from './sluice.js';

/** Where receivers come to a group, by a burst first. */
export interface Acquiring {
  readonly lab: Lab;
  readonly report: Report;
  readonly edge: Host;
  readonly edgeAddress: string;
  readonly receiver: Host;
  /** Of the receiver, where packets get lost. */
  readonly lossy: End;
  readonly group: string;
  readonly port: number;
  /** Of the channel's description on the edge. */
  readonly description: string;
  /** Of the channel's retransmission server on the edge. */
  readonly target: number;
}

/** Programs of dvbipitools, which are in no distribution. */
const PEERS = { dipifccret: 'SLUICE_PEER_DIPIFCCRET', dipirec: 'SLUICE_PEER_DIPIREC' } as const;
const PEER_PORT = 6000;
/** With --fcc-resolve-by-port: one port for one group. */
const PEER_BURST_PORT = PEER_PORT + 1;
/** How often a receiver comes: each time at another place between two access points. */
const ZAPS = 6;
const LIGHT = 0.01;
const HEAVY = 0.03;
const WATCH = '4s';
const PLAYOUT = ['--playout', '500ms'];
/** Packets that must come out, else nothing is proven. */
const LEAST = 200;
/** Bytes of what was under repair when a receiver was ended. */
const UNREPAIRED = 50 * 7 * 188;
/** For the longest group of pictures to be in the capture from its beginning. */
const LONGEST_GROUP_MS = 4_000;
/** RFC 6285 section 7.3.1. */
const WHOLE_SESSION = 510;

const count = z.number();
const summary = z.object({
  packets: count,
  acquired: count,
  acquisitionResponse: count,
  byRetransmission: count,
});
type Summary = z.infer<typeof summary>;

/** `sluice receive` for some seconds. */
async function watch({ receiver }: Acquiring, options: readonly string[], time: string): Promise<Summary> {
  const { stdout } = await receiver.must(sluice('receive', ...options, '--json', '--duration', time, ...PLAYOUT), {
    timeoutMs: 30_000,
  });
  return summary.parse(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '{}'));
}

interface Zapped {
  readonly summaries: Summary[];
  /** Packets that came out in all, and those of them that are missing. */
  readonly packets: number;
  readonly lost: number;
  readonly pictures: number;
}

/** Comes again and again; what is written each time is what was sent, byte by byte, from an access point on. */
async function zap(stage: Acquiring, name: string, share: number, options: readonly string[]): Promise<Zapped> {
  const { lab, receiver, lossy, group, port } = stage;
  const capture = await Capture.start(receiver, lossy.name, `udp dst port ${port}`, name);
  await during(LONGEST_GROUP_MS);
  if (share > 0) await lossy.lose(share, `ip saddr ${stage.edgeAddress} meta l4proto udp`);
  const files = Array.from({ length: ZAPS }, (_, i) => lab.file(`${name}-${i}.ts`));
  const summaries: Summary[] = [];
  for (const file of files) summaries.push(await watch(stage, [...options, '-o', file], WATCH));
  const lost = share > 0 ? await lossy.lost() : 0;
  await lossy.heal();
  // tcpdump is handed what came once a second.
  await during(1_500);
  await capture.stop();
  const sent = await sentMedia(capture, group, port);
  let [packets, shown] = [0, 0];
  for (const [i, file] of files.entries()) {
    const received = readFileSync(file).subarray(0, -UNREPAIRED);
    writeFileSync(file, received);
    const result = compared(sent, received, LEAST);
    const words = `zap ${i}: ${result.missing} of ${result.packets} packets missing, ${JSON.stringify(summaries[i])}`;
    expect(result.missing === 0 && (summaries[i]?.acquired ?? 0) > 0, words);
    packets += result.packets;
    shown += await decoded(stage, sent.slice(result.first, result.first + result.packets), file);
  }
  return { summaries, packets, lost, pictures: shown };
}

/** Pictures of what was written: those of what was sent. */
async function decoded({ receiver }: Acquiring, sent: readonly Buffer[], file: string): Promise<number> {
  const original = `${file}.sent`;
  writeFileSync(original, Buffer.concat(sent));
  const shown = await pictures(receiver, file);
  expect(shown.length > 0 && shown.join() === (await pictures(receiver, original)).join(), `${file}: damaged pictures`);
  return shown.length;
}

function words({ summaries, packets, lost, pictures: shown }: Zapped): string {
  const all = (of: (one: Summary) => number): string => summaries.map(of).join(', ');
  const ways = `bursts of ${all((one) => one.acquired)} packets (responses ${all((one) => one.acquisitionResponse)})`;
  const again = summaries.reduce((sum, one) => sum + one.byRetransmission, 0);
  return `${lost} packets lost on the way, ${ways}, ${again} sent again; none of ${packets} missing, ${shown} pictures`;
}

function peerProgram(name: keyof typeof PEERS): string {
  const program = process.env[PEERS[name]];
  if (program === undefined) throw new Skip(`${PEERS[name]} names no ${name} (dvbipitools)`);
  return program;
}

async function startPeer({ edge, edgeAddress, group }: Acquiring, device: string): Promise<Child> {
  const program = peerProgram('dipifccret');
  const where = ['-g', `${group}/32`, '-l', `${edgeAddress}:${PEER_PORT}`, '-I', device];
  // RFC 6285 has the sources in an element; its shared port wants DVB's profile, with the SSRC in the header.
  const byPort = ['-M', '1', '--fcc-resolve-by-port', '--fcc-resolve-base-port', String(PEER_BURST_PORT)];
  return edge.spawn('dipifccret', [program, ...where, ...byPort, '--no-mc-ret', '-X', '2', '-w', '1']);
}

/** Begins by bursts of somebody else's server. */
async function byTheirBurst(stage: Acquiring, device: string): Promise<void> {
  const { report, edgeAddress, group, port, lossy } = stage;
  const url = `rtp://${edgeAddress}@${group}:${port}?iface=${lossy.name}`;
  const from = (peerPort: number): string[] => [url, '--retransmission', `${edgeAddress}:${peerPort}`, '--rapid'];
  const options = from(PEER_BURST_PORT);
  let peer: Child | undefined;
  const play = async (name: string, share: number): Promise<string> => {
    peer ??= await startPeer(stage, device);
    // It measures the stream's rate first.
    const bursts = async (): Promise<boolean> => (await watch(stage, options, '1s')).acquired > 0;
    await poll(bursts, 30_000, () => `a burst of dipifccret: ${peer?.tail()}`);
    return words(await zap(stage, name, share, options));
  };
  const optional = { required: false };
  await report.step('dipifccret: a burst of it, then the group', () => play('theirs', 0), optional);
  await report.step('dipifccret, 3 % of everything by chance', () => play('theirs-lossy', HEAVY), optional);
  const refused = async (): Promise<string> => {
    if (peer === undefined) throw new Skip('there is no dipifccret');
    const { packets, acquired, acquisitionResponse: response } = await watch(stage, from(PEER_PORT), '2s');
    expect(response === WHOLE_SESSION && acquired === 0 && packets > 0, `response ${response}, ${packets} packets`);
    return `response ${response}, ${packets} packets by the group`;
  };
  await report.step(
    'dipifccret, where it does not know the stream: refused, the group all the same',
    refused,
    optional,
  );
  await peer?.stop();
}

/** Somebody else's receiver asks our server for what it misses; it does not ask for bursts. */
async function theirRequests(stage: Acquiring): Promise<string> {
  const { lab, receiver, lossy, edgeAddress, group, port, target } = stage;
  const program = peerProgram('dipirec');
  const file = lab.file('dipirec.ts');
  const capture = await Capture.start(receiver, lossy.name, `udp dst port ${port}`, 'dipirec');
  // Of the media only: it asks once.
  await lossy.lose(HEAVY, `ip daddr ${group} udp dport ${port}`);
  const source = ['-i', `rtp://@${group}:${port}`, '-I', lossy.name, '-f', 'raw', '-t', '10'];
  const again = ['--ret', `${edgeAddress}:${target}`, '--no-ret-mc', '--ret-pt', '97', '--ret-wait', '400'];
  await receiver.must([program, ...source, ...again, '-o', file], { timeoutMs: 30_000 });
  const lost = await lossy.lost();
  await lossy.heal();
  await during(1_500);
  await capture.stop();
  const received = readFileSync(file).subarray(0, -UNREPAIRED);
  const { missing, packets } = compared(await sentMedia(capture, group, port), received, LEAST);
  expect(lost > 0 && missing === 0, `${lost} lost, ${missing} of ${packets} missing`);
  return `${lost} packets lost on the way, none of ${packets} missing`;
}

/**
 * `sluice receive` comes to a group by a burst: of another server, and by what our own description tells.
 *
 * @param device of the edge, towards the receiver
 */
export async function acquisition(stage: Acquiring, device: string): Promise<void> {
  await byTheirBurst(stage, device);
  const url = `http://${stage.edgeAddress}:${VIEWERS_PORT}${stage.description}`;
  await stage.report.step('our bursts, 1 % of everything by chance: a receiver that reads the description', async () =>
    words(await zap(stage, 'ours', LIGHT, [url, '--iface', stage.lossy.name])),
  );
  await stage.report.step('dipirec asks us for what is lost, 3 % of the media by chance', () => theirRequests(stage), {
    required: false,
  });
}
