// Five hundred viewers who arrive at once at a group that nobody watches yet, and real players.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { which } from '../lab/lib/tools.js';
import { Bed, loopbackGroup } from '../reload/bed.js';
import { until } from '../streams/edge.js';
import { LiveGroup, members } from './groups.js';
import { RawViewer } from './viewer.js';

t.setTimeout(240_000);

const VIEWERS = 500;

function start(t: Test): Promise<Bed> {
  return Bed.start(t, {
    http: { listen: ['127.0.0.1:0'], relay: { allow: ['239.255.0.0/16'], interface: 'lo', hold: '500ms' } },
  });
}

t.test(`${VIEWERS} viewers at once: one join, all served from an access point, none cut`, async (t) => {
  const bed = await start(t);
  const group = loopbackGroup();
  await LiveGroup.start(t, group);
  const url = `${bed.daemon.viewersUrl}/udp/${group.address}:${group.port}`;
  const began = performance.now();
  const viewers = Array.from({ length: VIEWERS }, () => new RawViewer(url));
  t.comment(`all have asked after ${Math.round(performance.now() - began)} ms`);
  const all = (what: (viewer: RawViewer) => boolean): boolean => viewers.every(what);
  await until('everybody is served', () => all(({ beginsWell, closed }) => beginsWell || closed), 30_000);
  t.comment(`all have a picture after ${Math.round(performance.now() - began)} ms`);
  t.ok(
    all(({ status }) => status === 200),
    'all were answered with 200',
  );
  t.ok(
    all(({ beginsWell }) => beginsWell),
    'all begin with tables and an access point',
  );
  t.equal(members(group.address), 1);
  const metrics = await bed.metrics();
  t.match(metrics, /^sluice_relay_begun_total 1$/m);
  t.match(metrics, new RegExp(`^sluice_relay_requests_total ${VIEWERS}$`, 'm'));
  const before = viewers.map(({ bytes }) => bytes);
  await until('everybody goes on', () => viewers.every(({ bytes }, at) => bytes > (before[at] ?? 0) + 5_000), 30_000);
  t.notOk(
    viewers.some(({ closed, failed }) => closed || failed),
    'nobody was disconnected',
  );
  for (const viewer of viewers) viewer.close();
  await until('the group is left', () => members(group.address) === 0);
});

/** Runs a program to its end. */
async function run(command: string, args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (text += piece.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, text };
}

const unless = which('ffmpeg') === undefined ? { skip: 'ffmpeg not found' } : {};

t.test('what ffmpeg sends, plainly and in RTP, a player decodes without an error', unless, async (t) => {
  for (const [scheme, format] of [
    ['udp', 'mpegts'],
    ['rtp', 'rtp_mpegts'],
  ] as const) {
    const bed = await start(t);
    const { address, port } = loopbackGroup();
    const sender = spawn(
      'ffmpeg',
      [
        '-v',
        'error',
        '-re',
        '-f',
        'lavfi',
        '-i',
        'testsrc=size=320x180:rate=25',
        '-c:v',
        'mpeg2video',
        '-g',
        '12',
      ].concat(['-f', format, `${scheme}://${address}:${port}?localaddr=127.0.0.1&ttl=0&pkt_size=1316`]),
      { stdio: 'ignore' },
    );
    t.teardown(() => sender.kill('SIGKILL'));
    const url = `${bed.daemon.viewersUrl}/${scheme}/${address}:${port}`;
    const player = ['-v', 'warning', '-xerror', '-i', url, '-frames:v', '50', '-f', 'null', '-stats', '-'];
    const { code, text } = await run('ffmpeg', player);
    t.equal(code, 0, text);
    t.match(text, /frame= *50 /);
    t.notMatch(text, /corrupt|error|discontinuity/i);
    sender.kill('SIGKILL');
    await until('the group is left', () => members(address) === 0);
  }
});
