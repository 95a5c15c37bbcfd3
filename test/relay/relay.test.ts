// Groups that viewers ask for by their addresses, in a whole daemon: who is served, who is refused, and who has joined.
import { randomInt } from 'node:crypto';
import t, { type Test } from 'tap';
import { Bed, loopbackGroup } from '../reload/bed.js';
import { disorder } from '../streams/bed.js';
import { until, Viewer } from '../streams/edge.js';
import { continuityErrors, frameNumbers } from '../streams/ts-maker.js';
import { type Group, LiveGroup, members } from './groups.js';
import { RawViewer } from './viewer.js';

t.setTimeout(240_000);

function settings(relay: object, more: object = {}): object {
  const defaults = { allow: ['239.255.0.0/16'], interface: 'lo', hold: '500ms', wait: '3s', ring: '1MiB' };
  return { http: { listen: ['127.0.0.1:0'], relay: { ...defaults, ...relay } }, ...more };
}

function start(t: Test, relay: object = {}, more: object = {}): Promise<Bed> {
  return Bed.start(t, settings(relay, more));
}

const textOf = ({ address, port }: Group): string => `${address}:${port}`;

async function begun(bed: Bed): Promise<number> {
  return Number(/^sluice_relay_begun_total (\d+)$/m.exec(await bed.metrics())?.[1]);
}

async function rowsOf(bed: Bed, noun: string): Promise<Record<string, unknown>[]> {
  const answer = (await (await fetch(`${bed.daemon.adminUrl}/v1/show/${noun}`)).json()) as { rows: [] };
  return answer.rows;
}

t.test('a group is joined for its first viewer, shared by /udp and /rtp, and left after its last', async (t) => {
  const bed = await start(t);
  const group = loopbackGroup();
  await LiveGroup.start(t, group);
  t.equal(members(group.address), 0);
  const first = new Viewer(`${bed.daemon.viewersUrl}/rtp/${textOf(group)}`);
  await until('media', () => first.bytes.length > 20_000);
  const second = new Viewer(`${bed.daemon.viewersUrl}/udp/${textOf(group)}`);
  await until('media for the second', () => second.bytes.length > 20_000);
  t.equal(members(group.address), 1, 'joined once');
  t.equal(await begun(bed), 1);
  for (const { bytes, status } of [first, second]) {
    t.equal(status, 200);
    t.equal(continuityErrors(bytes), 0);
    t.equal(disorder(frameNumbers(bytes)), null);
  }
  const name = `udp/${textOf(group)}`;
  t.match(await rowsOf(bed, 'relays'), [{ group: textOf(group), state: 'flowing', viewers: 2, interface: 'lo' }]);
  t.match(await rowsOf(bed, 'viewers'), [{ stream: name }, { stream: name }]);
  t.match(await bed.metrics(), new RegExp(`^sluice_viewers{channel="${name}",mode="continuous"} 2$`, 'm'));
  const why = await (await fetch(`${bed.daemon.adminUrl}/v1/why/relay/${name}`)).text();
  t.match(why, /is flowing.*input: ok: [1-9].*viewers: ok: 2 now/);

  first.close();
  second.close();
  await until('the group is left', () => members(group.address) === 0);
  t.same(await rowsOf(bed, 'relays'), []);
  t.notMatch(await bed.metrics(), name);
});

t.test('whoever zaps back within the hold time is served at once: the group was never left', async (t) => {
  const bed = await start(t, { hold: '1h' });
  const group = loopbackGroup();
  const live = await LiveGroup.start(t, group, false);
  const viewer = new Viewer(`${bed.daemon.viewersUrl}/udp/${textOf(group)}`);
  await until('media', () => viewer.bytes.length > 10_000);
  viewer.close();
  await until('it has gone', async () => (await rowsOf(bed, 'relays'))[0]?.['viewers'] === 0);
  live.end();
  // Nothing is sent any more: what comes is what the ring has.
  const back = new RawViewer(`${bed.daemon.viewersUrl}/udp/${textOf(group)}`);
  t.teardown(() => back.close());
  await until('media again', () => back.beginsWell);
  t.equal(await begun(bed), 1);
});

t.test('what is not allowed or not understood is refused, and nothing is joined', async (t) => {
  const bed = await start(t, { allow: ['239.255.0.0/16:5000-5999', '127.0.0.2@232.255.0.0/16'] });
  const statuses: readonly [string, number][] = [
    ['239.255.1.1:4999', 403],
    ['239.254.1.1:5000', 403],
    ['127.0.0.1:5000', 403],
    ['255.255.255.255:5000', 403],
    ['0.0.0.0:5000', 403],
    ['[::1]:5000', 403],
    ['[ff02::1]:5000', 403],
    ['232.255.1.1:5000', 403],
    ['127.0.0.3@232.255.1.1:5000', 403],
    ['239.255.1.1:0', 400],
    ['239.255.1.1', 400],
    ['[::ffff:239.255.1.1]:5000', 400],
    ['[fe80::1%25eth0]:5000', 400],
    ['localhost:5000', 400],
    ['', 400],
  ];
  for (const [target, status] of statuses) {
    const answer = await fetch(`${bed.daemon.viewersUrl}/udp/${target}`);
    t.equal(answer.status, status, target);
    t.match(
      await answer.text(),
      status === 400 ? /^expected \[SOURCE@\]ADDRESS:PORT, / : /not on the list of http\.relay/,
    );
  }
  t.equal(await begun(bed), 0);
  t.match(await bed.metrics(), /^sluice_relay_refused_total{reason="forbidden"} 9$/m);
  const head = new RawViewer(`${bed.daemon.viewersUrl}/udp/239.255.1.1:5000`, 'HEAD');
  await until('an answer to HEAD', () => head.status === 200);
  t.match(head.head, /\r\nContent-Type: video\/mp2t\r\n/);
  head.close();
  t.equal(await begun(bed), 0, 'HEAD joins nothing');
});

t.test('without http.relay the paths are as any others', async (t) => {
  const bed = await Bed.start(t, {
    channels: [{ id: 'a', renditions: [{ id: 'b', url: 'http://127.0.0.1:9/x.ts' }] }],
  });
  t.equal((await fetch(`${bed.daemon.viewersUrl}/udp/239.255.1.1:5000`)).status, 404);
  t.match(await (await fetch(`${bed.daemon.adminUrl}/v1/why/relay/239.255.1.1:5000`)).text(), /not configured/);
});

t.test('a group that gives nothing is left, and whoever waited is told', async (t) => {
  const bed = await start(t, { wait: '2s', hold: '1h' });
  const group = loopbackGroup();
  const answer = await fetch(`${bed.daemon.viewersUrl}/rtp/${textOf(group)}`);
  t.equal(answer.status, 504);
  t.equal(answer.headers.get('retry-after'), '1');
  t.match(await answer.text(), /gives nothing/);
  await until(
    'nothing is left behind',
    async () => members(group.address) === 0 && (await rowsOf(bed, 'relays')).length === 0,
  );

  const live = await LiveGroup.start(t, group);
  const viewer = new Viewer(`${bed.daemon.viewersUrl}/rtp/${textOf(group)}`);
  await until('media', () => viewer.bytes.length > 10_000);
  live.end();
  await until('a viewer of a group that has fallen silent is disconnected', () => viewer.closed);
  t.match(await bed.metrics(), /^sluice_relay_failed_total{reason="silent"} 2$/m);
});

t.test('media without a place to begin with: viewers are told, the group stays for the next', async (t) => {
  const bed = await start(t, { wait: '1s', hold: '1h' });
  const group = loopbackGroup();
  const live = await LiveGroup.start(t, group);
  live.entries = false;
  const answer = await fetch(`${bed.daemon.viewersUrl}/rtp/${textOf(group)}`);
  t.equal(answer.status, 504);
  t.match(await answer.text(), /nothing yet that a picture could begin with/);
  t.match(await rowsOf(bed, 'relays'), [{ group: textOf(group), state: 'waiting', viewers: 0 }]);
  live.entries = true;
  const viewer = new RawViewer(`${bed.daemon.viewersUrl}/rtp/${textOf(group)}`);
  t.teardown(() => viewer.close());
  await until('the next is served', () => viewer.beginsWell);
  t.equal(await begun(bed), 1);
});

t.test('there are no more groups than allowed; one that nobody watches gives way', async (t) => {
  const bed = await start(t, { max_groups: 2, hold: '1h' });
  const groups = Array.from({ length: 3 }, loopbackGroup);
  await Promise.all(groups.map((group) => LiveGroup.start(t, group)));
  const [one, two, three] = groups.map((group) => `${bed.daemon.viewersUrl}/rtp/${textOf(group)}`) as [
    string,
    string,
    string,
  ];
  const viewers = [new RawViewer(one), new RawViewer(two)];
  t.teardown(() => {
    for (const viewer of viewers) viewer.close();
  });
  await until('both are served', () => viewers.every(({ status }) => status === 200));
  const refused = await fetch(three);
  t.equal(refused.status, 503);
  t.equal(refused.headers.get('retry-after'), '1');
  t.match(await refused.text(), /http\.relay\.max_groups/);
  viewers[0]?.close();
  await until('room', async () => {
    const viewer = new RawViewer(three);
    viewers.push(viewer);
    await until('an answer', () => viewer.status !== 0);
    return viewer.status === 200;
  });
  await until('the other is left', () => members(groups[0]?.address ?? '') === 0);
  t.equal(viewers[1]?.closed, false);
});

t.test('a group that does not fit into the memory of the plane, or cannot be joined, is refused by name', async (t) => {
  const bed = await start(t, { ring: '8MiB' }, { plane: { memory: '12MiB' } });
  const [first, second] = [loopbackGroup(), loopbackGroup()];
  await LiveGroup.start(t, first);
  const viewer = new RawViewer(`${bed.daemon.viewersUrl}/rtp/${textOf(first)}`);
  t.teardown(() => viewer.close());
  await until('it is served', () => viewer.status === 200);
  const full = await fetch(`${bed.daemon.viewersUrl}/rtp/${textOf(second)}`);
  t.equal(full.status, 503);
  t.match(await full.text(), /plane\.memory/);
  t.match(bed.lines.join('\n'), /"code":"MEMORY_BUDGET"/);

  const nowhere = await start(t, { interface: 'none0' });
  const unjoined = await fetch(`${nowhere.daemon.viewersUrl}/rtp/${textOf(second)}`);
  t.equal(unjoined.status, 503);
  t.match(await unjoined.text(), /INTERFACE_UNKNOWN/);
  t.same(await rowsOf(nowhere, 'relays'), []);
});

t.test('a reload: groups that are no longer allowed end, the others do not notice', async (t) => {
  const bed = await start(t);
  const [stays, goes] = [loopbackGroup(), loopbackGroup()];
  await Promise.all([LiveGroup.start(t, stays), LiveGroup.start(t, goes)]);
  const viewers = [stays, goes].map((group) => new Viewer(`${bed.daemon.viewersUrl}/rtp/${textOf(group)}`));
  await until('both are served', () => viewers.every(({ bytes }) => bytes.length > 5_000));
  const { steps } = await bed.reload(settings({ allow: [textOf(stays)] }));
  t.match(steps, [/http\.relay/]);
  await until('one has ended', () => viewers[1]?.closed === true);
  t.equal(members(goes.address), 0);
  t.equal((await fetch(`${bed.daemon.viewersUrl}/rtp/${textOf(goes)}`)).status, 403);
  const before = viewers[0]?.bytes.length ?? 0;
  await until('the other goes on', () => (viewers[0]?.bytes.length ?? 0) > before + 5_000);
  t.equal(disorder(frameNumbers(viewers[0]?.bytes ?? Buffer.alloc(0))), null);
  await bed.reload({
    ...settings({}),
    http: { listen: ['127.0.0.1:0'] },
    sites: [{ id: 's', origin: 'http://127.0.0.1:9/' }],
  });
  await until('all have ended', () => viewers[0]?.closed === true && members(stays.address) === 0);
  t.equal((await fetch(`${bed.daemon.viewersUrl}/rtp/${textOf(stays)}`)).status, 404);
});

t.test('a source-specific group hears its source only', async (t) => {
  const bed = await start(t, { allow: ['127.0.0.2@232.255.0.0/16'] });
  const group = { address: `232.255.${randomInt(80, 250)}.${randomInt(1, 250)}`, port: 2 * randomInt(10_000, 16_000) };
  await LiveGroup.start(t, group, true, '127.0.0.2');
  await LiveGroup.start(t, group, true, '127.0.0.3');
  const viewer = new Viewer(`${bed.daemon.viewersUrl}/rtp/127.0.0.2%40${textOf(group)}`);
  t.teardown(() => viewer.close());
  await until('media', () => viewer.bytes.length > 20_000);
  t.equal(disorder(frameNumbers(viewer.bytes)), null);
  t.match(await rowsOf(bed, 'relays'), [{ group: `127.0.0.2@${textOf(group)}`, lost: 0 }]);
});
