import type { FlowStatus } from '../../flows/status.js';
import type { ChannelStatus, ViewerStatus } from '../../streams/status.js';
import type { DaemonStatus, HistoryPoint, LiveSnapshot } from '../model.js';
import { ChannelCard, noSignal } from './channel.js';
import { TrafficChart } from './chart.js';
import { Clients } from './clients.js';
import { attribute, byId, el, Keyed, text } from './dom.js';
import { Flows, MOST_FLOWS } from './flows.js';
import { bytes, count, duration, milliseconds, plural, rate, ratio } from './format.js';
import { Live } from './live.js';
import { Player } from './player.js';
import { Smoother } from './smooth.js';

const cards = new Keyed(byId('channels'), (id) => new ChannelCard(id));
const chart = new TrafficChart(byId('chart'));
const clients = new Clients();
const flows = new Flows();
const video = byId('video') as HTMLVideoElement;
const player = new Player({
  video,
  veil: byId('veil'),
  title: byId('veil-title'),
  reason: byId('veil-reason'),
  facts: byId('picture-facts'),
});
const pick = byId('pick') as HTMLSelectElement;
const smoother = new Smoother();
let channels: readonly ChannelStatus[] = [];

function showTotals({ totals, eventLoopDelayMs, planeLoop }: DaemonStatus): void {
  text(byId('in'), rate(totals.bitsInPerSecond));
  text(byId('in-note'), `${bytes(totals.bytesIn)} in all`);
  text(byId('out'), rate(totals.bitsOutPerSecond));
  text(byId('out-note'), `${bytes(totals.bytesOut)} in all`);
  text(byId('ratio'), ratio(totals.bitsOutPerSecond, totals.bitsInPerSecond));
  text(byId('ratio-note'), `${ratio(totals.bytesOut, totals.bytesIn)} since start`);
  text(byId('connections'), count(totals.connections));
  const renditions = channels.reduce((sum, channel) => sum + channel.renditions.length, 0);
  text(byId('connections-note'), `for ${plural(renditions, 'rendition')}`);
  text(byId('viewers'), count(totals.viewers));
  const continuous = channels.flatMap((c) => c.renditions).reduce((sum, r) => sum + r.viewers.continuous, 0);
  text(byId('viewers-note'), `${count(continuous)} TS, ${count(totals.viewers - continuous)} HLS`);
  text(byId('drops'), count(totals.drops));
  text(byId('drops-note'), totals.drops === 0 ? 'none' : 'wherever they were');
  attribute(byId('drops-tile'), 'data-state', totals.drops > 0 ? 'warn' : null);
  text(byId('loop'), milliseconds(eventLoopDelayMs.p99));
  text(byId('loop-note'), `p99; worst ${milliseconds(eventLoopDelayMs.max)}`);
  text(byId('plane'), milliseconds(planeLoop.lateMs));
  text(byId('plane-note'), `worst; ${(planeLoop.busyRatio * 100).toFixed(1)} % busy`);
  text(byId('key-in'), rate(totals.bitsInPerSecond));
  text(byId('key-out'), rate(totals.bitsOutPerSecond));
}

function showDaemon({ version, host, uptimeSeconds, memory }: DaemonStatus): void {
  text(byId('version'), version);
  text(byId('host'), host);
  text(byId('uptime'), `up ${duration(uptimeSeconds)}`);
  text(byId('memory'), `${bytes(memory.residentBytes)} resident, rings ${bytes(memory.ringBytes)}`);
}

function showChannels(): void {
  const ids = channels.map((channel) => channel.id);
  cards.sync(ids).forEach((card, index) => {
    const channel = channels[index];
    if (channel !== undefined) card.update(channel);
  });
  if ([...pick.options].map((option) => option.value).join() !== ids.join()) offerChannels();
  const playing = channels.find((channel) => channel.id === pick.value);
  if (playing === undefined) return;
  player.signal(noSignal(playing));
  player.play(playing.hls);
  const front = new URL(playing.hls);
  attribute(byId('playlist'), 'href', new URL('/channels.m3u', front).href);
}

function offerChannels(): void {
  const before = pick.value;
  pick.replaceChildren(...channels.map(({ id, name }) => el('option', { value: id }, name)));
  if (channels.some((channel) => channel.id === before)) pick.value = before;
}

function show(snapshot: LiveSnapshot): void {
  const { status } = snapshot;
  channels = smoother.apply(snapshot.channels, status.uptimeSeconds * 1000);
  showDaemon(status);
  showTotals(status);
  showChannels();
  const { bitsInPerSecond: bitsIn, bitsOutPerSecond: bitsOut, viewers } = status.totals;
  chart.add({ time: Math.round(Date.parse(status.time) / 1000), bitsIn, bitsOut, viewers });
}

/** Answers of our own daemon; undefined while it is away. */
async function get<T>(path: string): Promise<T | undefined> {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(4000) });
    return response.ok ? ((await response.json()) as T) : undefined;
  } catch {
    return undefined;
  }
}

async function showClients(): Promise<void> {
  const answer = await get<{ viewers: ViewerStatus[] }>('/v1/viewers');
  if (answer !== undefined) clients.update(answer.viewers);
  window.setTimeout(() => void showClients(), 2000);
}

async function showFlows(): Promise<void> {
  const answer = await get<{ flows: FlowStatus[] }>(`/v1/flows?busiest=${MOST_FLOWS}`);
  if (answer !== undefined) flows.update(answer.flows);
  window.setTimeout(() => void showFlows(), 2000);
}

let wasLost = false;
const live = new Live(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/live`, {
  snapshot: show,
  connected() {
    attribute(document.body, 'data-live', 'yes');
    text(byId('live'), 'Live');
    void get<{ history: HistoryPoint[] }>('/v1/history').then((answer) => {
      if (answer !== undefined && answer.history.length > 0) chart.load(answer.history);
    });
    if (wasLost) player.restart();
    wasLost = false;
  },
  lost(retryMs) {
    wasLost = true;
    attribute(document.body, 'data-live', 'no');
    text(byId('live'), `Daemon unreachable, next try in ${Math.ceil(retryMs / 1000)} s`);
  },
});

pick.addEventListener('change', showChannels);
const sound = byId('sound');
sound.addEventListener('click', () => {
  video.muted = !video.muted;
  text(sound, video.muted ? 'Sound on' : 'Sound off');
  attribute(sound, 'aria-pressed', String(!video.muted));
});
live.start();
void showClients();
void showFlows();
