import { z } from 'zod';
import { poll } from '../lib/poll.js';
import { expect, type Report } from '../lib/report.js';
import { ALTERNATIVE, Member, type MulticastNet, RP, SOURCES, stopsSending, talk } from '../parts/multicast-net.js';
import { sluiceRouter } from '../parts/multicast-routers.js';

const HOST = { 4: '10.30.3.11', 6: 'fd30:3::11' } as const;
const OTHER = '10.30.3.12';
/** Nobody has a way there; and one whose way is by a device where nobody else speaks PIM. */
const LOST = '198.51.100.9';
const MUTE = '10.99.0.9';
const GROUP = '239.50.1.1';
const JOINS = 20;
const SUBSCRIBER = {
  id: 'flat-1',
  allow: [{ groups: '239.50.0.0/16' }, { groups: '232.0.0.0/8' }, { groups: 'ff1e::/16' }, { groups: 'ff05::/16' }],
  authorised: [
    ...[GROUP, '239.50.1.2', '239.50.1.3', '232.50.1.1', 'ff05::50:1'].map((group) => ({ group })),
    ...[SOURCES[4][0], LOST, MUTE].map((source) => ({ group: '232.50.1.1', source })),
  ],
  max_groups: 2,
  joins_per_second: JOINS,
  hold: '1500ms',
};
const WITHIN_MS = 10_000;
const answer = z.object({ sentences: z.array(z.string()) });

/** What `sluice why group` says in the end: the cause at this step, and such words in it. */
async function says(net: MulticastNet, id: string, step: string, ...words: readonly RegExp[]): Promise<string> {
  let last: readonly string[] = [];
  const right = async (): Promise<boolean> => {
    last = answer.parse(await net.acc.getJson(`http://127.0.0.1:9480/v1/why/group/${encodeURI(id)}`)).sentences;
    const [summary = '', ...steps] = last;
    const cause = step === '' ? 'every step works' : `the cause is at the ${step}`;
    return summary.endsWith(cause) && words.every((word) => steps.some((line) => word.test(line)));
  };
  await poll(right, WITHIN_MS, () => `${step}, ${words.join(' ')}, of ${id}; got\n${last.join('\n')}`, 100);
  return (last.find((line) => line.includes('BROKEN')) ?? last[0] ?? '').trim();
}

/** A host that has joined while this is asked. */
async function joined(net: MulticastNet, channel: string, ask: () => Promise<string>): Promise<string> {
  const member = await Member.join(net.hosts[0], HOST[4], channel);
  try {
    return await ask();
  } finally {
    await member.leave();
  }
}

/** Without which the next step would meet what this one has left. */
async function withNft(net: MulticastNet, rules: string, ask: () => Promise<string>): Promise<string> {
  const [host] = net.hosts;
  await host.nft(`table ip sight {\n chain out {\n type filter hook output priority mangle;\n ${rules}\n }\n}`);
  try {
    return await ask();
  } finally {
    await host.must(['nft', 'delete', 'table', 'ip', 'sight']);
  }
}

async function works(net: MulticastNet): Promise<string> {
  const [, second] = net.hosts;
  const sender = await talk(net.source, SOURCES[4][0], [GROUP]);
  await second.sysctl('net.ipv4.conf.eth0.force_igmp_version', 2);
  const old = await Member.join(second, OTHER, GROUP);
  await old.hears(GROUP, SOURCES[4][0]);
  const said = await joined(net, GROUP, async () => {
    await says(
      net,
      `${GROUP}/${HOST[4]}`,
      '',
      /10\.30\.3\.11 on lan0 speaks IGMPv3 and has 1 groups.*wants any source/,
    );
    await says(net, `${GROUP}/${OTHER}`, '', /10\.30\.3\.12 on lan0 speaks IGMPv2/);
    return says(
      net,
      GROUP,
      '',
      /10\.30\.3\.11 wants any source, said by IGMPv3 \d+\.\d s ago/,
      /\d+ packets \([1-9]\d* just now\)/,
    );
  });
  await sender.stop();
  await says(
    net,
    GROUP,
    'packets',
    /no packets arriving; from 10\.30\.1\.2 by up0 to lan0: [1-9]\d* packets \(0 just now\)/,
  );
  await old.leave();
  await second.sysctl('net.ipv4.conf.eth0.force_igmp_version', 0);
  await stopsSending(net.lan, WITHIN_MS);
  return said;
}

const CAUSES: readonly (readonly [name: string, play: (net: MulticastNet) => Promise<string>])[] = [
  ['it works, by hosts of two versions, until the source stops', works],
  [
    'nobody has asked',
    (net) => says(net, '239.50.1.3', 'membership', /no host has asked.*no report was filtered or refused/),
  ],
  [
    'not authorised: waits, then is refused',
    (net) =>
      joined(net, '239.50.9.9', async () => {
        await says(
          net,
          '239.50.9.9',
          'membership',
          /10\.30\.3\.11 for 239\.50\.9\.9 by IGMPv3: not authorised yet, waits/,
        );
        return says(
          net,
          `239.50.9.9/${HOST[4]}`,
          'membership',
          /not authorised while it waited/,
          /not given: 10\.30\.3\.11/,
        );
      }),
  ],
  [
    'not authorised, IPv6',
    (net) => joined(net, 'ff1e::50:9', () => says(net, 'ff1e::50:9', 'membership', /by MLDv2: not authorised/)),
  ],
  [
    'filtered: outside of the ranges',
    (net) => joined(net, '239.60.1.1', () => says(net, `239.60.1.1/${HOST[4]}`, 'membership', /filtered: outside/)),
  ],
  [
    'limit reached: groups',
    async (net) => {
      const member = await Member.join(net.hosts[0], HOST[4], '239.50.1.2', '239.50.1.3');
      await poll(async () => (await says(net, '239.50.1.3', 'packets')) !== '', WITHIN_MS, 'two groups');
      const said = await joined(net, GROUP, () =>
        says(net, GROUP, 'membership', /limit reached: as many groups as allowed/),
      );
      await member.leave();
      return said;
    },
  ],
  [
    'limit reached: joins a second',
    async (net) => {
      const groups = Array.from({ length: 4 * JOINS }, (_, at) => `239.50.20.${at}`);
      const member = await Member.join(net.hosts[0], HOST[4], ...groups);
      const limited = async (): Promise<string | undefined> => {
        for (const group of groups) {
          const { sentences } = answer.parse(await net.acc.getJson(`http://127.0.0.1:9480/v1/why/group/${group}`));
          const found = sentences.find((line) => /limit reached: more joins a second/.test(line));
          if (found !== undefined) return found.trim();
        }
        return undefined;
      };
      const said = await poll(limited, WITHIN_MS, 'a join beyond the rate');
      await member.leave();
      return said;
    },
  ],
  [
    'filtered: reports from beyond the link',
    (net) =>
      withNft(net, 'ip protocol igmp ip ttl set 5', () =>
        joined(net, '239.50.1.2', () =>
          says(net, '239.50.1.2', 'membership', /lan0: filtered: messages [1-9]\d* with a wrong IP header/),
        ),
      ),
  ],
  [
    'no packets arriving: the source is silent',
    (net) =>
      joined(net, `232.50.1.1/${SOURCES[4][0]}`, () =>
        says(net, '232.50.1.1', 'packets', /no packets arriving/, /joined by up0 at 10\.30\.2\.1/),
      ),
  ],
  [
    'RPF failed',
    (net) =>
      joined(net, `232.50.1.1/${LOST}`, () =>
        says(net, '232.50.1.1', 'upstream', /RPF failed.*no way back to 198\.51\.100\.9/),
      ),
  ],
  [
    'no upstream neighbour',
    (net) =>
      joined(net, `232.50.1.1/${MUTE}`, () =>
        says(
          net,
          '232.50.1.1',
          'upstream',
          /no upstream neighbour.*back to 10\.99\.0\.9 is by alt0 over 10\.30\.5\.1; PIM neighbours there: none/,
        ),
      ),
  ],
  [
    'no rendezvous point',
    (net) => joined(net, 'ff05::50:1', () => says(net, 'ff05::50:1', 'upstream', /no rendezvous point is known/)),
  ],
  [
    'no querier',
    async (net) => {
      await net.acc.ip('address', 'del', '10.30.3.1/24', 'dev', 'lan0');
      try {
        return await says(net, GROUP, 'querier', /no querier on lan0: we have no address there/);
      } finally {
        await net.acc.ip('address', 'add', '10.30.3.1/24', 'dev', 'lan0');
      }
    },
  ],
  [
    'a host where nobody listens',
    (net) => says(net, `${GROUP}/10.30.2.1`, 'interface', /behind up0, where hosts are not listened to/),
  ],
];

/** A source whose packets do not come by the way back to it. */
async function wrongWay(net: MulticastNet): Promise<string> {
  const group = 'ff1e::50:2';
  const sender = await talk(net.up, ALTERNATIVE[6], [group], 'acc0');
  const said = await joined(net, group, () =>
    says(net, group, 'packets', /RPF failed: packets come, but from fd30:5::1 not by alt0/),
  );
  await sender.stop();
  return said;
}

/** Every cause that keeps a host from what it has joined, made to happen, and what is said of it. */
export async function playCauses(net: MulticastNet, report: Report): Promise<void> {
  await net.acc.route('10.99.0.0/24', ALTERNATIVE[4]);
  await sluiceRouter.start(net.up, { pim: ['src0', 'acc0'], rp: RP, helloS: 1 });
  const plan = { hosts: ['lan0'], pim: ['up0', 'alt0'], rp: RP, helloS: 1, subscriber: SUBSCRIBER };
  const router = await sluiceRouter.start(net.acc, plan);
  await poll(async () => (await router.neighbours()).length >= 2, WITHIN_MS, 'neighbours');
  for (const [name, play] of CAUSES) await report.step(`why group: ${name}`, () => play(net));
  const bad = await net.acc.get('http://127.0.0.1:9480/v1/why/group/news');
  await report.step('why group: what is no group', () => {
    expect(bad.status === 404, `${bad.status} ${bad.body}`);
    return 'NOT_FOUND';
  });
  await net.lab.stopChildren();
  await sluiceRouter.start(net.acc, { hosts: ['lan0', 'up0', 'alt0'] });
  await report.step('why group: RPF failed: packets come by another way', () => wrongWay(net));
  await net.lab.stopChildren();
}
