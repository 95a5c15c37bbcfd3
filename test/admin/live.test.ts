import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import type { LiveSnapshot } from '../../daemon/admin/model.js';
import { until } from './client.js';
import { type ChannelPlan, type Harness, PlannedSource, startHarness } from './fixture.js';

/** Opens a websocket by hand (RFC 6455 section 4.1), so that a test can also be a client that never reads. */
async function upgrade(
  { admin }: Harness,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ socket: Socket; head: string; rest: Buffer }> {
  const { hostname, port, host } = new URL(admin.url);
  const socket = connect(Number(port), hostname);
  const fields = {
    host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  socket.write(`GET /v1/live HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  let data = Buffer.alloc(0);
  while (!data.includes('\r\n\r\n')) data = Buffer.concat([data, ((await once(socket, 'data')) as [Buffer])[0]]);
  const end = data.indexOf('\r\n\r\n') + 4;
  return { socket, head: data.subarray(0, end).toString(), rest: data.subarray(end) };
}

/** The text frames in a server's bytes: unmasked, never fragmented here (RFC 6455 section 5.2). */
function frames(data: Buffer): { text: string[]; closeCode: number | undefined } {
  const text: string[] = [];
  let closeCode: number | undefined;
  for (let at = 0; at + 2 <= data.length; ) {
    const opcode = data.readUInt8(at) & 0x0f;
    const short = data.readUInt8(at + 1) & 0x7f;
    const [length, header] =
      short === 126
        ? [data.readUInt16BE(at + 2), 4]
        : short === 127
          ? [Number(data.readBigUInt64BE(at + 2)), 10]
          : [short, 2];
    const payload = data.subarray(at + header, at + header + length);
    if (payload.length < length) break;
    if (opcode === 1) text.push(payload.toString());
    if (opcode === 8) closeCode = payload.readUInt16BE(0);
    at += header + length;
  }
  return { text, closeCode };
}

t.test('a snapshot at once and then every second, of the same shape as status and channels', async (t) => {
  const harness = await startHarness();
  t.teardown(harness.close);
  const { socket, head, rest } = await upgrade(harness, { origin: harness.admin.url });
  t.teardown(() => void socket.destroy());
  t.match(head, /^HTTP\/1\.1 101 /);
  let data = rest;
  socket.on('data', (chunk: Buffer) => (data = Buffer.concat([data, chunk])));
  await until('three snapshots', () => frames(data).text.length >= 3);
  const [first, second, third] = frames(data).text.map((text) => JSON.parse(text) as LiveSnapshot);
  t.same(
    first?.channels.map((channel) => channel.id),
    ['news', 'sport'],
  );
  t.match(third?.status, { version: '0.0.0-test', pid: process.pid });
  t.ok((third?.status.totals.bytesIn ?? 0) > (second?.status.totals.bytesIn ?? 0), 'it is alive');
  await harness.close();
  await until('the connection is closed with the daemon', () => socket.destroyed || socket.readableEnded);
});

t.test('a web page of another origin is refused before the upgrade', async (t) => {
  const harness = await startHarness();
  t.teardown(harness.close);
  const foreign: Record<string, string>[] = [{ origin: 'http://evil.example' }, { host: 'rebound.example' }];
  for (const headers of foreign) {
    const { socket, head } = await upgrade(harness, headers);
    t.match(head, /^HTTP\/1\.1 4(03|21) /);
    socket.destroy();
  }
});

t.test('a client that talks is told off, and so is one too many', async (t) => {
  const harness = await startHarness();
  t.teardown(harness.close);
  const { socket, rest } = await upgrade(harness);
  let data = rest;
  socket.on('data', (chunk: Buffer) => (data = Buffer.concat([data, chunk])));
  socket.write(Buffer.from([0x81, 0x81, 1, 2, 3, 4, 0x61 ^ 1]));
  await until('closed with 1008', () => frames(data).closeCode === 1008);
  const others = await Promise.all(Array.from({ length: 40 }, () => upgrade(harness)));
  const codes: number[] = [];
  for (const { socket: other, rest: had } of others) {
    let got = had;
    const look = (): void => {
      const { closeCode } = frames(got);
      if (closeCode !== undefined) codes.push(closeCode);
    };
    look();
    other.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      look();
    });
  }
  await until('those over 32 are told 1013', () => codes.filter((code) => code === 1013).length >= 8);
  for (const { socket: other } of others) other.destroy();
  socket.destroy();
});

t.test(
  'a client that does not read is disconnected; memory stays bounded and others are served',
  { timeout: 60_000 },
  async (t) => {
    // Large snapshots fill the kernel's buffers within a few of them.
    const renditions = Array.from({ length: 32 }, (_, index) => ({ id: `r${index}` }));
    const plans: ChannelPlan[] = Array.from({ length: 60 }, (_, index) => ({
      id: `c${index}`,
      name: `C${index}`,
      renditions,
    }));
    const harness = await startHarness(new PlannedSource(plans));
    t.teardown(harness.close);
    const lazy = await upgrade(harness);
    lazy.socket.pause();
    const eager = await upgrade(harness);
    let snapshots = 0;
    eager.socket.on('data', (chunk: Buffer) => (snapshots += chunk.length / 1e6));
    await until('named in the log', () => harness.logs.some((line) => line.includes('does not read')), 45_000);
    let taken = 0;
    lazy.socket.on('data', (chunk: Buffer) => (taken += chunk.length));
    lazy.socket.on('error', () => undefined);
    lazy.socket.resume();
    await until('the end of what had been queued', () => lazy.socket.destroyed);
    t.ok(taken < 8e6, `${taken} bytes had been queued for it, in the kernel and here`);
    t.ok(snapshots > 5, `the client that reads had ${snapshots.toFixed(0)} MB`);
    eager.socket.destroy();
    lazy.socket.destroy();
  },
);
