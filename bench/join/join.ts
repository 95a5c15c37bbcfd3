import { z } from 'zod';
import { during, poll } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import { Skip } from '../../test/lab/lib/report.js';
import {
  frrRouter,
  igmpproxyRouter,
  pimdRouter,
  type RouterKind,
  type RouterPlan,
  type RunningRouter,
  sluiceRouter,
} from '../../test/lab/parts/multicast-routers.js';
import { Absent, type Bench, type Contender, type Group, type Sample } from '../lib/bench.js';
import { cpuSeconds, processTree } from '../lib/processes.js';
import { bareJoin, buildJoinTopology, FAR, holdAtSide, type JoinTopology, join, NEAR, send } from './topology.js';

const FIRST = '232.40.1.0';
/** Packets a second of the group that is joined: the time to the next one is part of what is measured. */
const RATE = 10_000;
const MANY = 1_000;
const STORM_RATE = 10_000;
const HOSTS = ['host0', 'side0'];
const WARM: RouterPlan = { pim: ['near0', ...HOSTS], hosts: HOSTS };
const COLD: RouterPlan = { pim: ['up0', ...HOSTS], hosts: HOSTS };

/** A router under test. */
interface Access {
  readonly name: string;
  start(topology: JoinTopology, plan: RouterPlan): Promise<RunningRouter>;
}

/** A router of the lab; `change` where it is told in another way. */
function access(kind: RouterKind, change: (plan: RouterPlan) => RouterPlan = (plan) => plan): Access {
  return {
    name: kind.name,
    async start({ access: host }, plan) {
      try {
        return await kind.start(host, change(plan));
      } catch (error) {
        throw error instanceof Skip ? new Absent(error.message) : error;
      }
    },
  };
}

const bare: Access = { name: 'bare-join', start: (topology) => bareJoin(topology) };
const OURS = access(sluiceRouter);
const FRR = access(frrRouter);
const PIMD = access(pimdRouter);
const IGMPPROXY = access(igmpproxyRouter, ({ hosts = [] }) => ({ hosts, proxy: 'near0' }));

const times = z.array(z.object({ join: z.number().nullable(), leave: z.number().nullable() }));
const crowd = z.tuple([z.object({ first: z.number(), last: z.number(), flowing: z.number() })]);

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

/** Joins and leaves again and again, in milliseconds; a leave is told no finer than packets come. */
async function again(topology: JoinTopology, source: string, count: number, restMs: number): Promise<Sample> {
  const lines = times.parse(await join(topology, 'one', { source, first: FIRST, groups: count }, restMs));
  const of = (key: 'join' | 'leave'): number[] =>
    lines.flatMap(({ [key]: time }) => (time === null ? [] : [time / 1_000]));
  const joins = of('join');
  const leaves = of('leave').map((time) => Math.max(time, 1_000 / RATE));
  const lost = count - joins.length;
  return {
    figures: {
      p50: quantile(joins, 0.5),
      p99: quantile(joins, 0.99),
      leave50: quantile(leaves, 0.5),
      leave99: quantile(leaves, 0.99),
    },
    notes: lost === 0 ? [] : [`${lost} of ${count} joins without a packet`],
  };
}

/** Runs what is measured between the start of a router and its end. */
async function whileRuns<T>(router: RunningRouter, use: (running: RunningRouter) => Promise<T>): Promise<T> {
  try {
    return await use(router);
  } finally {
    await router.stop();
  }
}

async function withTraffic<T>(traffic: readonly Promise<Child>[], use: () => Promise<T>): Promise<T> {
  const all = await Promise.all(traffic);
  try {
    return await use();
  } finally {
    for (const one of all) await one.stop();
  }
}

/** Another host has the group: its packets are at the router. */
function warm(topology: JoinTopology, router: Access, count: number): Contender {
  const what = { source: NEAR, first: FIRST, groups: 1 };
  const flows = async (): Promise<boolean> => {
    const before = await received(topology);
    await during(200);
    return (await received(topology)) - before > RATE / 20;
  };
  const measure = async (): Promise<Sample> =>
    whileRuns(await router.start(topology, WARM), () =>
      withTraffic([holdAtSide(topology, what), send(topology, { ...what, rate: RATE })], async () => {
        await poll(flows, 40_000, 'packets at the side', 0);
        return again(topology, NEAR, count, 20);
      }),
    );
  return { name: router.name, measure };
}

async function received({ side }: JoinTopology): Promise<number> {
  return Number((await side.must(['cat', '/sys/class/net/eth0/statistics/rx_packets'])).stdout);
}

/** With FRR above, the same for all. */
async function belowFrr<T>(
  topology: JoinTopology,
  router: Access,
  use: (running: RunningRouter) => Promise<T>,
): Promise<T> {
  return whileRuns(await FRR.start({ ...topology, access: topology.up }, { pim: ['far0', 'access0'] }), async (up) =>
    whileRuns(await router.start(topology, COLD), async (running) => {
      const met = async (): Promise<boolean> => (await up.neighbours()).includes('10.40.2.2');
      await poll(met, 60_000, 'FRR above to have its neighbour', 100);
      const known = async (): Promise<boolean> => (await running.neighbours()).includes('10.40.2.1');
      if (running.tells) await poll(known, 60_000, `${router.name} to have its neighbour`, 100);
      return use(running);
    }),
  );
}

/** Nobody has the group: it is asked for above. */
function cold(topology: JoinTopology, router: Access, count: number): Contender {
  const measure = (): Promise<Sample> =>
    belowFrr(topology, router, () =>
      withTraffic([send(topology, { source: FAR, first: FIRST, groups: 1, rate: RATE })], () =>
        again(topology, FAR, count, 300),
      ),
    );
  return { name: router.name, measure };
}

/** A thousand groups, cold, in as few reports as they take. */
function many(topology: JoinTopology, router: Access): Contender {
  const what = { source: FAR, first: FIRST, groups: MANY };
  const measure = (): Promise<Sample> =>
    belowFrr(topology, router, (running) =>
      withTraffic([send(topology, { ...what, rate: 2 * RATE })], async () => {
        const cpu = (): number => cpuSeconds(running.pids.flatMap((pid) => processTree(pid)));
        const before = cpu();
        const [{ last, flowing }] = crowd.parse(await join(topology, 'many', what, 15_000));
        const notes = flowing < MANY ? [`${flowing} of ${MANY} groups came`] : [];
        const ms = flowing < MANY ? {} : { last: last / 1_000 };
        return { figures: { ...ms, flowing, cpu: 1_000 * (cpu() - before) }, notes };
      }),
    );
  return { name: router.name, measure };
}

/** More joins a second than hosts do; those that the router knows of afterwards count. */
function storm(topology: JoinTopology, router: Access, joins: number): Contender {
  const measure = async (): Promise<Sample> =>
    whileRuns(await router.start(topology, WARM), async (running) => {
      await join(topology, 'storm', { source: NEAR, first: FIRST, groups: joins }, STORM_RATE);
      let known = -1;
      const taken = async (): Promise<boolean> => {
        const before = known;
        known = await running.groups('host0', FIRST);
        return known === joins || known === before;
      };
      await poll(taken, 20_000, 'the router to have taken in the joins', 500);
      return { figures: { share: known / joins }, notes: [] };
    });
  return { name: router.name, measure };
}

function figures(name: string): Group['figures'] {
  return [
    { case: `${name} join, p50`, unit: 'ms', better: 'less', key: 'p50' },
    { case: `${name} join, p99`, unit: 'ms', better: 'less', key: 'p99' },
    { case: `${name} leave to the last packet, p50`, unit: 'ms', better: 'less', key: 'leave50' },
    { case: `${name} leave to the last packet, p99`, unit: 'ms', better: 'less', key: 'leave99' },
  ];
}

/** From a report on the wire to the first packet, and from a leave to the last. */
export const joinBench: Bench = {
  name: 'join',
  summary:
    'from the report on the wire to the first packet: warm, cold through PIM-SSM, 1,000 groups, a storm; leave to stop',
  rounds: 5,
  async prepare(lab, { quick }) {
    const topology = await buildJoinTopology(lab);
    const count = quick ? 10 : 200;
    const clock = `${RATE.toLocaleString('en')} packets a second, stamped by the kernel when they arrive`;
    return [
      {
        figures: figures('warm'),
        ours: warm(topology, OURS, count),
        limit: warm(topology, bare, count),
        peers: [FRR, PIMD, IGMPPROXY].map((one) => warm(topology, one, one === FRR ? count : Math.min(count, 20))),
        notes: [clock, 'another host has the group already'],
      },
      {
        figures: figures('cold PIM-SSM'),
        ours: cold(topology, OURS, count / 2),
        limit: null,
        peers: [cold(topology, FRR, count / 2), cold(topology, PIMD, 5)],
        notes: [clock, 'FRR above, the same for all'],
      },
      {
        figures: [
          { case: '1,000 groups, the last flows', unit: 'ms', better: 'less', key: 'last' },
          { case: '1,000 groups, flowing within 15 s', unit: 'groups', better: 'more', key: 'flowing' },
          { case: '1,000 groups, CPU', unit: 'ms', better: 'less', key: 'cpu' },
        ],
        ours: many(topology, OURS),
        limit: null,
        peers: [many(topology, FRR), many(topology, PIMD)],
        notes: [
          'cold, FRR above, the same for all; each group has 20 packets a second, so that the last comes up to 50 ms later',
        ],
      },
      {
        figures: [{ case: '10,000 joins a second, share taken in', unit: 'of 1', better: 'more', key: 'share' }],
        ours: storm(topology, OURS, quick ? STORM_RATE : 3 * STORM_RATE),
        limit: null,
        peers: [storm(topology, FRR, quick ? STORM_RATE : 3 * STORM_RATE)],
        notes: ['one group a report'],
      },
    ];
  },
};
