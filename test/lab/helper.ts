import { accessSync, constants } from 'node:fs';
import { z } from 'zod';
import { program } from './lib/compile.js';
import type { Host } from './lib/host.js';
import type { Lab } from './lib/lab.js';
import { poll } from './lib/poll.js';
import { expect, type Report, Skip } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';

const echoes = z.object({
  sent: z.number(),
  received: z.number(),
  averageMs: z.number().nullable(),
  reordered: z.number(),
});
const PORT = 7_000;

async function answering(host: Host, address: string): Promise<void> {
  const server = await host.spawn('echo', [process.execPath, program('echo'), 'serve', address, String(PORT)]);
  await server.waitForLine(/^ready$/m, 5_000);
}

/** Echo requests 5 ms apart. */
async function ping(from: Host, to: string, count: number): Promise<z.infer<typeof echoes>> {
  const { stdout } = await from.must([process.execPath, program('echo'), 'ask', to, String(PORT), String(count), '5']);
  return echoes.parse(JSON.parse(stdout));
}

async function routedSteps(lab: Lab, report: Report): Promise<void> {
  const [left, middle, right] = [await lab.host('left'), await lab.router('middle'), await lab.host('right')];
  await lab.link(
    [left, { name: 'eth0', addresses: ['10.1.0.2/24', 'fd00:1::2/64'] }],
    [middle, { name: 'left0', addresses: ['10.1.0.1/24', 'fd00:1::1/64'] }],
  );
  const lossy = await lab.link(
    [middle, { name: 'right0', addresses: ['10.2.0.1/24', 'fd00:2::1/64'] }],
    [right, { name: 'eth0', addresses: ['10.2.0.2/24', 'fd00:2::2/64'] }],
    { offloads: false },
  );
  await left.route('default', '10.1.0.1');
  await left.route('default', 'fd00:1::1');
  await right.route('default', '10.2.0.1');
  await right.route('default', 'fd00:2::1');
  for (const to of ['10.2.0.2', 'fd00:2::2']) {
    await answering(right, to);
    await report.step(`echo across a router from ${to}`, async () => {
      const result = await ping(left, to, 20);
      expect(result.received === 20, `${result.received} of ${result.sent} echoes`);
      return '20 of 20 echoes';
    });
  }
  await report.step('loss by nftables is what was asked and is counted', async () => {
    await lossy.b.lose(0.3, `udp dport ${PORT}`);
    const result = await ping(left, '10.2.0.2', 300);
    const lost = await lossy.b.lost();
    await lossy.b.heal();
    expect(lost === 300 - result.received, `${lost} counted, ${300 - result.received} missing`);
    expect(lost > 45 && lost < 135, `${lost} of 300 lost with a share of 0.3`);
    return `${lost} of 300 lost and counted with a share of 0.3`;
  });
  await report.step('bursts by nftables are as long and as far apart as was asked', async () => {
    await lossy.b.loseBursts(4, 20, `udp dport ${PORT}`);
    const result = await ping(left, '10.2.0.2', 100);
    const lost = await lossy.b.lost();
    await lossy.b.heal();
    expect(lost === 20 && result.received === 80, `${lost} lost, ${result.received} of 100 came back`);
    return '4 of each 20 lost';
  });
}

async function lineSteps(lab: Lab, report: Report): Promise<void> {
  await report.step(
    'a line delays, loses and reorders',
    async () => {
      need('g++');
      try {
        accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
      } catch {
        throw new Skip('/dev/net/tun may not be opened by this user (Debian: udev gives it mode 666)');
      }
      const [near, far] = [await lab.host('near'), await lab.host('far')];
      const link = await lab.link(
        [near, { name: 'line0', addresses: ['10.3.0.1/24', 'fd00:3::1/64'] }],
        [far, { name: 'line0', addresses: ['10.3.0.2/24', 'fd00:3::2/64'] }],
        { line: { delayMs: 20, loss: 0.05, reorder: 0.1, reorderMs: 15 } },
      );
      await answering(far, '10.3.0.2');
      await answering(far, 'fd00:3::2');
      const four = await ping(near, '10.3.0.2', 200);
      const six = await ping(near, 'fd00:3::2', 20);
      const { ab, ba } = await link.lineReport();
      const missing = 220 - four.received - six.received;
      const trip = four.averageMs ?? 0;
      expect(trip >= 40 && trip < 80, `round trip ${trip} ms over two times 20 ms`);
      expect(six.received > 0, 'nothing came back by IPv6');
      expect(
        ab.lost + ba.lost >= missing && missing > 0,
        `${missing} echoes missing, ${ab.lost + ba.lost} packets lost`,
      );
      expect(four.reordered > 0, 'nothing came back in another order');
      return `round trip ${trip.toFixed(1)} ms, ${ab.lost + ba.lost} lost, ${ab.reordered + ba.reordered} reordered`;
    },
    { required: false },
  );
}

const GROUP = '239.4.4.4';
const JOIN = `const s = require('dgram').createSocket('udp4');
  s.on('message', (m) => console.log(String(m)));
  s.bind(5000, () => { s.addMembership('${GROUP}', '10.4.0.2'); console.log('joined'); });`;
const SEND = `const s = require('dgram').createSocket('udp4');
  const [to, own] = process.argv.slice(1);
  s.bind(() => { s.setMulticastInterface(own); s.send('hello', 5000, to, () => s.close()); });`;

/** Three hosts on a switch: one talks, one has joined, one has not. */
async function lan(lab: Lab): Promise<Record<'talker' | 'member' | 'stranger', Host>> {
  const lan = await lab.switch('lan', { querier: true });
  const attach = async (name: string, index: number): Promise<Host> => {
    const host = await lab.host(name);
    await lab.link([host, { name: 'eth0', addresses: [`10.4.0.${index}/24`] }], [lan, { name }]);
    await host.route('224.0.0.0/4', 'eth0');
    return host;
  };
  return {
    talker: await attach('talker', 1),
    member: await attach('member', 2),
    stranger: await attach('stranger', 3),
  };
}

async function switchStep(lab: Lab, report: Report): Promise<void> {
  await report.step('a switch with snooping keeps a group from who did not join', async () => {
    need('tcpdump');
    const { talker, member, stranger } = await lan(lab);
    const receiver = await member.spawn('member', [process.execPath, '-e', JOIN]);
    await receiver.waitForLine(/joined/, 5_000);
    const filter = ['udp', 'port', '5000'];
    const capture = await stranger.spawn('tcpdump', ['tcpdump', '--immediate-mode', '-lni', 'eth0', ...filter]);
    await capture.waitForLine(/listening on/, 5_000, 'stderr');
    const captured = (destination: string) =>
      capture.lines().filter((line) => line.includes(`> ${destination}.`)).length;

    /** Whether the stranger got a datagram to the group. */
    const overhears = async (): Promise<boolean> => {
      const [heard, overheard, marks] = [receiver.lines().length, captured(GROUP), captured('10.4.0.1')];
      await talker.must([process.execPath, '-e', SEND, GROUP, '10.4.0.1']);
      await poll(() => receiver.lines().length > heard, 5_000, 'the member to get the datagram');
      // The stranger's own datagram tells that tcpdump has written all that came before it.
      await stranger.must([process.execPath, '-e', SEND, '10.4.0.1', '10.4.0.3']);
      await poll(() => captured('10.4.0.1') > marks, 5_000, 'tcpdump to write');
      return captured(GROUP) > overheard;
    };
    // A switch floods until it has heard a querier and a report (RFC 4541 2.1.2): what counts is what it comes to.
    await poll(async () => !(await overhears()), 20_000, 'the switch to learn who is a member');
    for (let i = 0; i < 5; i++) expect(!(await overhears()), `the stranger got datagram ${i + 1} of 5`);
    return '5 datagrams: the member got all, the stranger none';
  });
}

async function endStep(lab: Lab, report: Report): Promise<void> {
  await report.step('all programs end by their pid', async () => {
    await lab.stopChildren();
    const left = await lab.leftovers();
    expect(left.length === 0, `processes left: ${left.join(', ')}`);
    return 'nothing left';
  });
}

/** The lab's own check: that links do what they are told and that nothing stays behind. */
export const helper: Scenario = {
  name: 'helper',
  summary: 'the lab itself: routes, loss, the delaying line, snooping, clean-up',
  async play(lab, report) {
    await routedSteps(lab, report);
    await lineSteps(lab, report);
    await switchStep(lab, report);
    await endStep(lab, report);
  },
};
