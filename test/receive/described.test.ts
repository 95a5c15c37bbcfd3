// What `sluice receive` makes of its arguments: ways to HTTP, given or described.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { type Flags, readArguments } from '../../daemon/cli/receive-job.js';
import { describeMulticast } from '../../daemon/protocols/sdp/describe.js';

const FLAGS: Flags = { reorder: '50ms', numbering: 'rtp', playout: '200ms' };
const URL = 'rtp://239.1.1.1:5000';

/** A server of one description, which names `range`. */
async function described(t: Test, range: string): Promise<string> {
  const text = describeMulticast({
    name: 'News',
    sessionId: 1,
    version: 1,
    origin: '192.0.2.1',
    group: '239.1.1.1',
    port: 5000,
    ttl: 8,
    source: null,
    repair: { parity: null, block: null, parityType: 96, retransmission: null, range },
  });
  const server = createServer((_, response) => void response.end(text));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/live/news/main.repair.sdp`;
}

t.test('--range implies --repair, and is no retransmission', async (t) => {
  const { repair } = await readArguments(URL, { ...FLAGS, range: 'https://192.0.2.1:8443/live/news/main.rtp?a=b' });
  t.match(repair, {
    fec: true,
    feedback: null,
    range: {
      address: '192.0.2.1',
      port: 8443,
      tls: { serverName: '192.0.2.1', insecure: false },
      host: '192.0.2.1:8443',
      target: '/live/news/main.rtp?a=b',
    },
  });
  t.equal((await readArguments(URL, FLAGS)).repair, null);
});

t.test('what is no URL of packets is refused', async (t) => {
  for (const range of ['192.0.2.1:8080', 'ftp://192.0.2.1/a', 'http://192.0.2.1/a#b', ''])
    await t.rejects(
      readArguments(URL, { ...FLAGS, range }),
      { code: 'USAGE', message: /--range: expected an http/ },
      range,
    );
  const udp = readArguments('udp://239.1.1.1:5000', { ...FLAGS, range: 'http://192.0.2.1/a' });
  await t.rejects(udp, { code: 'USAGE', message: /expected rtp:/ });
});

t.test('a description names the way, absolute or relative to itself', async (t) => {
  const absolute = await described(t, 'http://192.0.2.1:8080/live/news/main.rtp');
  t.match((await readArguments(absolute, FLAGS)).repair, {
    fec: false,
    range: { address: '192.0.2.1', port: 8080, tls: null, target: '/live/news/main.rtp' },
  });
  const relative = await described(t, 'main.rtp');
  const port = Number(/:(\d+)\//.exec(relative)?.[1]);
  t.match((await readArguments(relative, FLAGS)).repair, {
    range: { address: '127.0.0.1', port, target: '/live/news/main.rtp' },
  });
  const chosen = await readArguments(relative, { ...FLAGS, range: 'http://192.0.2.2/x.rtp' });
  t.match(chosen.repair, { range: { address: '192.0.2.2', port: 80, target: '/x.rtp' } });
});
