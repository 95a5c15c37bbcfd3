import { join } from 'node:path';
import { SluiceError } from '../base/errors.js';
import { loadSettings, type Settings } from '../settings.js';
import { parseMediaUrl } from '../streams/media-url.js';
import { startOrigin } from './demo-origin.js';
import { multicastFlows } from './demo-ready.js';
import { ROOT } from './root.js';

/** How long a group is listened to before it is taken for free: streams send many packets a second. */
const LISTEN_MS = 250;
/** Between two tries for a free group port; the stride of media ports. */
const PORT_STRIDE = 10;
const PORT_TRIES = 50;

type Channel = Settings['channels'][number];
type Rendition = Channel['renditions'][number];

/** What the demo runs. */
export interface DemoPlan {
  readonly settings: Settings;
  /** `http://127.0.0.1:PORT` */
  readonly originUrl: string;
  readonly channel: string;
  /** Of the first rendition. */
  readonly rendition: string;
  readonly renditions: readonly string[];
  readonly group: { readonly address: string; readonly port: number; readonly interface: string };
  /** Ends the origin. */
  close(): Promise<void>;
}

/** Starts the origin and fits config/demo.yaml to the ports that are free here. */
export async function planDemo(): Promise<DemoPlan> {
  const file = await loadSettings(join(ROOT, 'config', 'demo.yaml'));
  const shift = await freeShift(file);
  const origin = await startOrigin();
  const channels = file.channels.map((channel) => fit(channel, origin.url, shift));
  const [channel] = channels;
  const [rendition] = channel?.renditions ?? [];
  const multicast = rendition?.multicast;
  if (channel === undefined || rendition === undefined || multicast?.interface === undefined) {
    await origin.close();
    throw new SluiceError('CONFIG_INVALID', 'config/demo.yaml: the first rendition needs multicast with an interface');
  }
  return {
    settings: { ...file, channels },
    originUrl: origin.url,
    channel: channel.id,
    rendition: rendition.id,
    renditions: channel.renditions.map(({ id }) => id),
    group: { address: multicast.address, port: multicast.port, interface: multicast.interface },
    close: () => origin.close(),
  };
}

/** Nothing tells that a group is in use but its packets: another demo on this machine would be mixed with ours. */
async function freeShift({ channels }: Settings): Promise<number> {
  const groups = channels.flatMap(({ renditions }) => renditions.flatMap(({ multicast }) => multicast ?? []));
  for (let shift = 0; shift < PORT_STRIDE * PORT_TRIES; shift += PORT_STRIDE) {
    const busy = await Promise.all(groups.map(({ address, port }) => multicastFlows(address, port + shift, LISTEN_MS)));
    if (!busy.includes(true)) return shift;
  }
  throw new SluiceError(
    'ADDRESS_IN_USE',
    `every multicast port tried is in use (expected a free one of ${PORT_TRIES})`,
  );
}

function fit(channel: Channel, originUrl: string, shift: number): Channel {
  return { ...channel, renditions: channel.renditions.map((rendition) => fitRendition(rendition, originUrl, shift)) };
}

function fitRendition(rendition: Rendition, originUrl: string, shift: number): Rendition {
  const { url, multicast } = rendition;
  if (url?.kind !== 'http') return rendition;
  const moved = parseMediaUrl(originUrl + new URL(url.url).pathname);
  if (!('location' in moved))
    throw new SluiceError('INTERNAL', `the demo's origin has no usable URL: ${moved.expected}`);
  return {
    ...rendition,
    url: moved.location,
    ...(multicast === undefined ? {} : { multicast: { ...multicast, port: multicast.port + shift } }),
  };
}
