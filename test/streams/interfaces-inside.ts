/**
 * Run within an own network namespace by interfaces.test.ts: a channel is sent by an interface, and taken in again by its
 * peer, both of which come, go and come again. Prints one JSON line per step.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Edge, until } from './edge.js';
import { LiveOrigin } from './live-origin.js';

const ip = (...args: string[]): Buffer => execFileSync('ip', args);

function addLink(): void {
  ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
  ip('addr', 'add', '10.9.0.1/24', 'dev', 'v0');
  ip('addr', 'add', '10.9.1.1/24', 'dev', 'v1');
  // The sender is one of this host's own addresses.
  for (const [key, value] of [
    ['rp_filter', 0],
    ['accept_local', 1],
  ] as const) {
    for (const name of ['all', 'v0', 'v1']) writeFileSync(`/proc/sys/net/ipv4/conf/${name}/${key}`, String(value));
  }
  ip('link', 'set', 'v0', 'up');
  ip('link', 'set', 'v1', 'up');
}

async function run(): Promise<void> {
  ip('link', 'set', 'lo', 'up');
  const origin = new LiveOrigin();
  await origin.listen();
  const buffer = { memory: '4MiB' };
  const multicast = { address: '239.1.1.1', port: 5000, interface: 'v0' };
  const edge = new Edge([
    {
      id: 'news',
      hls: { segment: '1s' },
      renditions: [
        { id: 'out', buffer, url: `${origin.base}/live/index.m3u8`, multicast },
        { id: 'in', buffer, url: 'rtp://239.1.1.1:5000?iface=v1' },
      ],
    },
  ]);
  const sent = (): number => edge.rendition(0).multicast?.packets ?? 0;
  const tell = (step: string): void => {
    const { state, code } = edge.rendition(1);
    console.log(
      JSON.stringify({ step, fault: edge.rendition(0).multicast?.fault ?? null, packets: sent(), state, code }),
    );
  };
  await edge.service.start();
  await until('the source flows', () => edge.rendition(0).state === 'flowing');
  await until('waiting', () => edge.rendition(1).state === 'retrying');
  tell('absent');
  addLink();
  await until('received', () => edge.rendition(1).state === 'flowing' && sent() > 50);
  tell('there');
  ip('link', 'del', 'v0');
  const lost = /INTERFACE_UNKNOWN/;
  await until(
    'the loss is seen',
    () => edge.rendition(1).code === 'INTERFACE_UNKNOWN' && lost.test(edge.rendition(0).multicast?.fault ?? ''),
    20_000,
  );
  tell('gone');
  const before = sent();
  addLink();
  await until('received again', () => edge.rendition(1).state === 'flowing' && sent() > before + 50, 20_000);
  tell('back');
  await edge.close();
  await origin.kill();
}

await run();
