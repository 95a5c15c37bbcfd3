import type { Host } from '../lib/host.js';
import type { Child } from '../lib/process.js';
import { need } from '../lib/tools.js';

/** L and D of ST 2022-1 in all programs of the lab. */
export const MATRIX = 5;

const MEDIA = 'application/x-rtp,media=video,clock-rate=90000,encoding-name=MP2T,payload=33';
const PARITY = 'application/x-rtp,media=video,clock-rate=90000,payload=96';

const words = (pipeline: string): string[] => pipeline.trim().split(/\s+/);

function gstreamer(host: Host, name: string, pipeline: string): Promise<Child> {
  need('gst-launch-1.0');
  const env = { GST_DEBUG: '2', GST_DEBUG_NO_COLOR: '1' };
  return host.spawn(`gstreamer-${name}`, ['gst-launch-1.0', '-e', ...words(pipeline)], { env });
}

/** Resolves when it plays. */
async function playing(child: Promise<Child>): Promise<Child> {
  const started = await child;
  await started.waitForLine(/Setting pipeline to PLAYING/, 10_000);
  return started;
}

export interface Group {
  readonly address: string;
  /** Of the media, even. */
  readonly port: number;
  readonly device: string;
}

function source({ address, device }: Group, port: number, caps: string): string {
  return `udpsrc address=${address} multicast-iface=${device} port=${port} buffer-size=4194304 caps=${caps}`;
}

/** GStreamer's decoder of ST 2022-1 behind a group; writes the MPEG-TS to a file. */
export function gstreamerRepairsByParity(host: Host, name: string, group: Group, file: string): Promise<Child> {
  const parity = [2, 4].map((step, i) => `${source(group, group.port + step, PARITY)} ! queue ! f.fec_${i}`);
  const out = 'f.src ! rtpjitterbuffer latency=1000 ! rtpmp2tdepay';
  const media = `${source(group, group.port, MEDIA)} ! queue ! f.sink`;
  const pipeline = `rtpst2022-1-fecdec name=f size-time=2000000000 ${out} ! filesink buffer-mode=2 location=${file}`;
  return playing(gstreamer(host, name, `${pipeline} ${parity.join(' ')} ${media}`));
}

/** The same without any repair. */
export function gstreamerReceives(host: Host, name: string, group: Group, file: string): Promise<Child> {
  const media = `${source(group, group.port, MEDIA)} ! queue ! rtpjitterbuffer latency=1000`;
  return playing(gstreamer(host, name, `${media} ! rtpmp2tdepay ! filesink buffer-mode=2 location=${file}`));
}

/** GStreamer plays a file with ST 2022-1, columns and rows, in real time; ends with it. */
export function gstreamerSends(host: Host, to: string, port: number, file: string): Promise<Child> {
  const sink = (step: number): string => `udpsink host=${to} port=${port + step}`;
  // Its encoder takes nothing of another SSRC than 0.
  const media = `filesrc location=${file} ! tsparse set-timestamps=true alignment=7 ! rtpmp2tpay mtu=1328 ssrc=0`;
  const parity = [0, 1].map((i) => `f.fec_${i} ! queue ! ${sink(2 + 2 * i)} sync=false async=false`);
  const encoder = `rtpst2022-1-fecenc name=f columns=${MATRIX} rows=${MATRIX}`;
  return gstreamer(host, 'sends', `${media} ! ${encoder} f.src ! ${sink(0)} sync=true ${parity.join(' ')}`);
}

/** ffmpeg plays a file with ST 2022-1 (Pro-MPEG) in real time; ends with it. */
export function ffmpegSends(host: Host, to: string, port: number, file: string): Promise<Child> {
  need('ffmpeg');
  const output = ['-f', 'rtp_mpegts', '-fec', `prompeg=l=${MATRIX}:d=${MATRIX}`, `rtp://${to}:${port}?pkt_size=1328`];
  const input = ['-nostdin', '-v', 'error', '-re', '-i', file, '-map', '0', '-c', 'copy'];
  return host.spawn('ffmpeg-sends', ['ffmpeg', ...input, ...output]);
}

/**
 * GStreamer asks a feedback target for what is missing (AVPF, generic NACK) and takes retransmissions (RFC 4588) from it.
 *
 * @param target where NACKs go and retransmissions come from
 * @param back own port that retransmissions come to
 */
export function gstreamerAsks(
  host: Host,
  name: string,
  group: Group,
  target: { readonly address: string; readonly port: number; readonly back: number },
  file: string,
): Promise<Child> {
  const { address, port, back } = target;
  const media = `${source(group, group.port, `${MEDIA},rtcp-fb-nack=(boolean)true`)} ! queue ! s.recv_rtp_sink`;
  const feedback = `s.send_rtcp_src ! udpsink host=${address} port=${port} bind-port=${back + 1} sync=false async=false`;
  // What leaves rtprtxreceive is the media again, and the jitter buffer looks at the caps.
  const again = `udpsrc port=${back} caps=${MEDIA} ! queue ! all.`;
  const order = 'rtpjitterbuffer do-retransmission=true latency=1000';
  const restore = 'rtprtxreceive payload-type-map=application/x-rtp-pt-map,33=(uint)97';
  // The demultiplexer adds the SSRC to what the jitter buffer asks for.
  const out = `funnel name=all ! ${restore} ! rtpssrcdemux ! ${order} ! rtpmp2tdepay`;
  const session = 'rtpsession name=s rtp-profile=avpf rtcp-min-interval=100000000';
  const sink = `filesink buffer-mode=2 location=${file}`;
  return playing(
    gstreamer(host, name, `${session} ${media} s.recv_rtp_src ! all. ${feedback} ${again} ${out} ! ${sink}`),
  );
}
