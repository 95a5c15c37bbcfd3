// Packets by HTTP as the last resort: end to end, beside means that fail, from servers that fail; and curl at the server.
import { execFile } from 'node:child_process';
import { createServer, get, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { parse } from 'rtp-packet';
import t, { type Test } from 'tap';
import type { RangeSource } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { LoopbackSender, rtpPackets } from '../receive/rtp-sender.js';
import { TsMaker } from '../streams/ts-maker.js';
import { Certificates } from './certificates.js';
import { INPUT, SENDER, STREAM } from './options.js';
import { bound, freePorts, front, HOST, play, rangeSource, until } from './repair-scene.js';

const RATE = 100_000_000;
const here = (_step: number, n: number): boolean => n < 300 && (n % 10 === 3 || (n > 40 && n < 60));
const media = (step: number, n: number): boolean => step === 0 && here(step, n);

async function http(t: Test, answer: RequestListener): Promise<RangeSource> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return rangeSource((server.address() as AddressInfo).port);
}

for (const numbering of ['rtp', 'rtp-extension', 'field'] as const) {
  t.test(`without parity and retransmission all that is lost comes by HTTP (${numbering})`, async (t) => {
    const { received, ring, whole } = await play(t, { numbering, range: RATE, loses: media });
    t.ok(received.missing > 20, `${received.missing} missing`);
    t.equal(received.byFetch, received.missing);
    t.match(received, { rtpLost: 0, fetchErrors: 0, malformed: 0, damaged: 0 });
    t.equal(ring.rangePackets, received.byFetch);
    t.equal(ring.rangeServed, received.fetches);
    t.ok(received.fetches < received.byFetch, `${received.fetches} requests`);
    t.match(ring, { rangeGone: 0, rangeMalformed: 0, rangeShed: 0 });
    t.ok(whole);
  });
}

t.test('a retransmission server that does not answer costs nothing but requests', async (t) => {
  const silent = await bound(t);
  const feedback = { address: HOST, port: silent.address().port };
  const { received, whole } = await play(t, { range: RATE, repair: { feedback }, loses: media });
  t.ok(received.nacked > 0);
  t.equal(received.byRetransmission, 0);
  t.equal(received.byFetch, received.missing);
  t.equal(received.rtpLost, 0);
  t.ok(whole);
});

t.test('what parity or an answer brings is not fetched', async (t) => {
  const both = await play(t, { retransmission: {}, range: RATE, loses: media });
  t.equal(both.received.byRetransmission, both.received.missing);
  t.match(both.received, { byFetch: 0, fetches: 0 });
  const fec = { parity: { columns: 5, rows: 5, rowParity: true }, block: null, payloadType: 96 };
  const parity = await play(t, {
    fec,
    range: RATE,
    loses: (step, n) => step === 0 && n > 50 && n < 300 && n % 13 === 7,
  });
  t.ok(parity.received.byParity > 10);
  t.match(parity.received, { byFetch: 0, fetches: 0, rtpLost: 0 });
});

t.test('a server that fails, whichever way, takes nothing from the other means', async (t) => {
  const held: RequestListener = () => undefined;
  const failing: Record<string, RequestListener> = {
    'answers 503': (_, response) => void response.writeHead(503, { 'content-length': 0 }).end(),
    'has something else': (_, response) => void response.end('<html>'),
    'says nothing': held,
    closes: (request) => void request.socket.destroy(),
    'sends packets of another': (_, response) => {
      const [packet = Buffer.alloc(0)] = rtpPackets(new TsMaker(1, 8000).frames(0, 1), 0xbad, 100);
      response.writeHead(206, { 'content-range': 'rtp 0-0/*' });
      response.end(Buffer.concat([Buffer.from([packet.length >> 8, packet.length & 255]), packet]));
    },
    'sends no end of zeros': (_, response) => {
      response.writeHead(206, { 'content-range': 'rtp 0-0/*' });
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    },
  };
  const fec = { parity: { columns: 5, rows: 5, rowParity: true }, block: null, payloadType: 96 };
  for (const [what, answer] of Object.entries(failing)) {
    const range = await http(t, answer);
    const { received } = await play(t, { fec, range, loses: media });
    t.ok(received.byParity > 10, `${what}: ${received.byParity} by parity`);
    t.equal(received.byFetch, 0, what);
    t.ok(received.rtpLost > 0 && received.fetches > 0, `${what}: ${received.fetches} requests`);
    // A server that gives packets has answered; that they are none of ours is known to those who look at them.
    if (!what.includes('another')) t.ok(received.fetchErrors > 0, `${what}: ${received.fetchErrors} errors`);
    t.ok(received.fetches < 40, `${what}: ${received.fetches} requests`);
  }
});

t.test('a server that fails now and then is asked once more', async (t) => {
  let n = 0;
  let to = 0;
  const between = await http(t, (request, response) => {
    if (n++ % 2 === 0) return void request.socket.destroy();
    const headers = { range: request.headers.range ?? '' };
    get({ host: HOST, port: to, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
  });
  const through = ({ port }: RangeSource): RangeSource => {
    to = port;
    return between;
  };
  const { received, whole } = await play(t, { range: RATE, through, loses: media });
  t.equal(received.rtpLost, 0);
  t.equal(received.byFetch, received.missing);
  t.ok(received.fetchErrors > 0);
  t.ok(whole);
});

t.test('over TLS, from whom is trusted', async (t) => {
  const certificates = new Certificates();
  t.teardown(() => certificates.close());
  const own = certificates.make('here', `IP:${HOST}`);
  const trusted = await play(t, { range: RATE, certificate: own, loses: media });
  t.equal(trusted.received.byFetch, trusted.received.missing);
  t.ok(trusted.whole);
});

t.test('curl gets what was on the path', async (t) => {
  const plane = createPlane({ memoryBytes: 2 ** 24 });
  t.teardown(() => plane.close());
  const [source, to] = [await freePorts(), await freePorts()];
  const path = await bound(t, to);
  const sent: Buffer[] = [];
  path.on('message', (bytes) => sent.push(bytes));
  const stream = plane.addStream(STREAM);
  plane.addInput(stream, { ...INPUT, port: source });
  plane.addSender(stream, { ...SENDER, port: to });
  const { host, target } = front(plane, stream, RATE);
  const loopback = await LoopbackSender.open(t);
  await loopback.send(rtpPackets(new TsMaker(1, 8000).frames(0, 50), 1, 1), source, HOST);
  await until(() => sent.length > 100);
  const number = (n: number): number => (sent[n] as Buffer).readUInt16BE(2);
  const curl = async (...args: readonly string[]): Promise<{ head: string; body: Buffer }> => {
    const all = ['-sS', '-i', ...args, `http://${host}${target}`];
    // Without what is preloaded for a sanitizer: curl never ends with it.
    const env = { PATH: process.env['PATH'] };
    const { stdout } = await promisify(execFile)('curl', all, { encoding: 'buffer', maxBuffer: 2 ** 24, env });
    const end = stdout.indexOf('\r\n\r\n') + 4;
    return { head: stdout.toString('latin1', 0, end), body: stdout.subarray(end) };
  };
  const framed = (packets: readonly Buffer[]): Buffer =>
    Buffer.concat(packets.flatMap((one) => [Buffer.from([one.length >> 8, one.length & 255]), one]));

  const one = await curl('-H', `Range: rtp=${number(10)}-${number(19)}`);
  t.match(one.head, /^HTTP\/1\.1 206 Partial Content\r\n/);
  t.match(one.head, `Content-Range: rtp ${number(10)}-${number(19)}/*\r\n`);
  t.match(one.head, 'Content-Type: application/octet-stream\r\n');
  t.ok(one.body.equals(framed(sent.slice(10, 20))), 'byte by byte');
  t.match(parse(one.body.subarray(2, 2 + one.body.readUInt16BE(0))), { payloadType: 33, sequenceNumber: number(10) });

  const two = await curl('-H', `Range: rtp=${number(5)}-${number(6)}, ${number(30)}-${number(30)}`);
  t.ok(two.body.equals(framed([sent[5], sent[6], sent[30]] as Buffer[])), 'several ranges are one body');

  const bytes = await curl('-r', '0-100');
  t.match(bytes.head, /^HTTP\/1\.1 400 /);
  t.match(bytes.body.toString(), 'expected Range: rtp=FIRST-LAST');
  const gone = await curl('-H', `Range: rtp=${(number(0) + 30_000) & 0xffff}-${(number(0) + 30_001) & 0xffff}`);
  t.match(gone.head, /^HTTP\/1\.1 416 /);
  t.match(gone.head, new RegExp(`Content-Range: rtp \\*/${number(0)}-\\d+\r\n`));
  t.match((await curl()).head, /^HTTP\/1\.1 400 /);
  t.match(plane.streamCounters(stream), { rangeServed: 2, rangePackets: 13, rangeGone: 1, rangeMalformed: 2 });
});
