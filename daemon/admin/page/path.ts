import type { RenditionStatus } from '../../streams/status.js';
import { attribute, el, svg, text } from './dom.js';
import { bytes, count, duration, milliseconds, plural, rate, splitUrl } from './format.js';

const KINDS = { hls: 'HLS', http: 'HTTP MPEG-TS', rtp: 'RTP', udp: 'UDP' } as const;

/** The way of one rendition's media: origin, one connection, ring, and from there to the senders and the viewers. */
export class Path {
  readonly root = el('div', { class: 'path', role: 'group' });
  readonly #origin = originNode();
  readonly #ring = ringNode();
  readonly #in = linkTo('in', ['M2 50H126M118 43L126 50L118 57']);
  readonly #out: ReturnType<typeof linkTo>;
  readonly #multicast: ReturnType<typeof outputNode> | null;
  readonly #viewers = outputNode('Viewers');
  readonly #hls = el('a', {}, 'HLS');
  readonly #ts = el('a', {}, 'TS');
  readonly #sdp = el('a', {}, 'SDP');
  readonly #says = el('p', { class: 'says' });

  /** @param first the rendition as it is when its row is built: whether it has a sender does not change */
  constructor(first: RenditionStatus) {
    const branches =
      first.multicast === null
        ? ['M2 50H126M118 43L126 50L118 57']
        : [
            'M2 50H84C104 50 92 24 112 24H126M119 17L126 24L119 31',
            'M2 50H84C104 50 92 76 112 76H126M119 69L126 76L119 83',
          ];
    this.#out = linkTo(first.multicast === null ? 'out' : 'out fork', branches);
    this.#multicast = first.multicast === null ? null : outputNode('Multicast');
    const links = this.#viewers.links;
    links.append(this.#hls, this.#ts);
    this.#multicast?.links.append(this.#sdp);
    const outputs = el('div', { class: this.#multicast === null ? 'outputs single' : 'outputs' });
    if (this.#multicast !== null) outputs.append(this.#multicast.root);
    outputs.append(this.#viewers.root);
    this.root.append(this.#origin.root, this.#in.root, this.#ring.root, this.#out.root, outputs, this.#says);
    attribute(this.root, 'aria-label', `Path of rendition ${first.id}`);
  }

  /** Shows the rendition as it is now. */
  update(now: RenditionStatus): void {
    attribute(this.root, 'data-state', now.state);
    text(this.#says, now.state === 'flowing' ? factsOf(now) : (now.reason ?? 'Waiting for media.'));
    attribute(this.#hls, 'href', now.urls.hls);
    attribute(this.#ts, 'href', now.urls.ts);
    attribute(this.#sdp, 'href', now.urls.sdp);
    this.#origin.update(now);
    this.#ring.update(now);
    const arriving = now.input.bitsPerSecond > 0;
    this.#in.update(arriving ? rate(now.input.bitsPerSecond) : 'no data', connectionsOf(now), [arriving]);
    const sent = (now.multicast?.bitsPerSecond ?? 0) + now.viewers.bitsPerSecond;
    const watched = now.viewers.bitsPerSecond > 0;
    const flows = now.multicast === null ? [watched] : [now.multicast.bitsPerSecond > 0, watched];
    this.#out.update(sent > 0 ? rate(sent) : '', '', flows);
    this.#multicast?.update(
      multicastLines(now),
      (now.multicast?.bitsPerSecond ?? 0) === 0,
      now.multicast?.fault ?? null,
    );
    this.#viewers.update(viewerLines(now), now.viewers.continuous + now.viewers.hls === 0, null);
  }
}

function connectionsOf({ source }: RenditionStatus): string {
  return source.kind === 'rtp' || source.kind === 'udp' ? 'one socket' : plural(source.connections, 'connection');
}

function factsOf({ source, since }: RenditionStatus): string {
  const { playlist, segment, stream } = source.requests;
  const facts = [KINDS[source.kind], `flowing for ${duration((Date.now() - since) / 1000)}`];
  if (playlist + segment + stream > 0)
    facts.push(plural(playlist + segment + stream, 'request'), plural(source.connects, 'connect'));
  facts.push(plural(source.retries, 'retry', 'retries'));
  if (source.segmentsSkipped > 0) facts.push(plural(source.segmentsSkipped, 'segment skipped', 'segments skipped'));
  return facts.join(' · ');
}

function multicastLines({ multicast }: RenditionStatus): readonly [string, string] {
  if (multicast === null) return ['', ''];
  const batches = multicast.segmentation ? ' · segmentation' : '';
  const via = multicast.interface === null ? '' : ` on ${multicast.interface}`;
  const facts = `${rate(multicast.bitsPerSecond)} · ${count(multicast.packets)} packets${batches}`;
  return [`${multicast.url.replace(/\?.*$/, '')}${via}`, multicast.fault ?? facts];
}

function viewerLines({ viewers }: RenditionStatus): readonly [string, string] {
  const who = `${plural(viewers.continuous, 'continuous viewer')} + ${count(viewers.hls)} HLS`;
  return [
    viewers.continuous + viewers.hls === 0 ? 'No viewers' : who,
    `${rate(viewers.bitsPerSecond)} · ${bytes(viewers.bytes)} sent`,
  ];
}

function originNode() {
  const host = el('h3');
  const badge = el('span', { class: 'badge' });
  const path = el('span', { class: 'mono' });
  const root = el(
    'div',
    { class: 'node' },
    el('div', { class: 'line' }, host, badge),
    el('div', { class: 'line' }, path),
  );
  const update = (now: RenditionStatus): void => {
    const url = splitUrl(now.source.url);
    text(host, url.host);
    text(badge, now.state);
    attribute(badge, 'data-state', now.state);
    text(path, url.path);
    attribute(path, 'title', now.source.url);
  };
  return { root, update };
}

function ringNode() {
  const name = el('h3');
  const bitrate = el('span', { class: 'num' });
  const fill = el('div', { class: 'fill' });
  const meter = el('div', { class: 'meter', role: 'meter', 'aria-valuemin': '0', 'aria-valuemax': '100' }, fill);
  const used = el('span', { class: 'small' });
  const buffer = el('span', { class: 'small num' });
  const root = el(
    'div',
    { class: 'node' },
    el('div', { class: 'line' }, name, bitrate),
    meter,
    el('div', { class: 'line' }, used, buffer),
  );
  const update = ({ id, bitrate: bits, ring, smoothing }: RenditionStatus): void => {
    text(name, `Ring ${id}`);
    text(bitrate, rate(bits));
    const percent = ring.sizeBytes === 0 ? 0 : Math.min(100, (100 * ring.usedBytes) / ring.sizeBytes);
    fill.style.width = `${percent}%`;
    attribute(meter, 'aria-valuenow', percent.toFixed(0));
    attribute(meter, 'aria-label', `Ring of ${id}: ${percent.toFixed(0)} % in use`);
    text(used, `${bytes(ring.usedBytes)} of ${bytes(ring.sizeBytes)}`);
    const paced = smoothing.active ? `, paced by ${milliseconds(smoothing.delayMs)}` : '';
    text(buffer, `${milliseconds(ring.bufferLevelMs)} ahead${paced}`);
  };
  return { root, update };
}

function outputNode(what: string) {
  const first = el('span');
  const second = el('span', { class: 'small' });
  const links = el('span', { class: 'links' });
  const root = el(
    'div',
    { class: 'node', 'aria-label': what },
    el('div', { class: 'line' }, first, links),
    el('div', { class: 'line' }, second),
  );
  const update = ([above, below]: readonly [string, string], idle: boolean, fault: string | null): void => {
    text(first, above);
    text(second, below);
    attribute(root, 'data-idle', idle ? 'yes' : 'no');
    attribute(root, 'data-fault', fault === null ? 'no' : 'yes');
    attribute(root, 'title', fault);
  };
  return { root, links, update };
}

function linkTo(direction: 'in' | 'out' | 'out fork', branches: readonly string[]) {
  const paths = branches.map((d) => svg('path', { d }));
  const above = el('span', { class: 'above num' });
  const below = el('span', { class: 'below num' });
  const picture = svg('svg', { viewBox: '0 0 128 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...paths);
  const root = el('div', { class: `link ${direction}` });
  root.append(picture, above, below);
  const update = (over: string, under: string, flows: readonly boolean[]): void => {
    text(above, over);
    text(below, under);
    attribute(root, 'data-flow', flows.includes(true) ? 'yes' : 'no');
    for (const [index, path] of paths.entries()) attribute(path, 'data-flow', flows[index] ? 'yes' : 'no');
  };
  return { root, update };
}
