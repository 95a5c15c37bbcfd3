import { readdirSync, readFileSync } from 'node:fs';
import { type Json, startFlows } from '../../bench/lib/flows/daemon.js';
import {
  buildFlowTopology,
  COUNTED_PORT,
  counted,
  INPUT_PORT,
  inputs,
  receivers,
  targetFile,
} from '../../bench/lib/flows/topology.js';
import { begins, generate } from '../../bench/lib/flows/traffic.js';
import type { Topology } from '../../bench/lib/topology.js';
import { flowsOf } from '../../bench/voice/programs.js';
import type { Child } from './lib/process.js';
import { expect, type Report } from './lib/report.js';
import type { Scenario } from './lib/scenario.js';
import { need } from './lib/tools.js';

/** What moves packets, many at a time, and what waits for them. */
const BATCH_CALLS = ['epoll_wait', 'epoll_pwait', 'epoll_pwait2', 'recvmmsg', 'sendmmsg', 'sendmsg'];
const TRACED_S = 3;
/** Packets a second that come in. */
const RATE = 5_000;

/** Threads of the daemon that move packets. */
function loopThreads(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const name = (tid: string): string => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'latin1');
  return threads.filter((tid) => name(tid).startsWith('sluice-loop')).map(Number);
}

/** Calls by name in strace's summary: `% time, seconds, usecs/call, calls, [errors], syscall`. */
function callsIn(summary: string): Map<string, number> {
  const lines = [...summary.matchAll(/^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?([a-z]\w*)$/gm)];
  return new Map(lines.flatMap(([, calls, name = '']) => (name === 'total' ? [] : [[name, Number(calls)]])));
}

async function trace(daemon: Child, { edge }: Topology): Promise<Map<string, number>> {
  const threads = loopThreads(daemon.pid).flatMap((tid) => ['-p', String(tid)]);
  expect(threads.length > 0, 'no loop thread found');
  const strace = await edge.spawn('strace', ['strace', '-c', ...threads]);
  await strace.waitForLine(/attached/, 5_000, 'stderr');
  await Promise.race([strace.exited, new Promise((resolve) => setTimeout(resolve, TRACED_S * 1000))]);
  await strace.stop('SIGINT');
  return callsIn(strace.stderr());
}

/** Traces the loops while flows run through them. */
async function traced(topology: Topology, flows: readonly Json[], targets: string): Promise<string> {
  need('strace');
  const daemon = await startFlows(topology, { flows });
  const phases = [{ rate: RATE, seconds: TRACED_S + 10 }];
  const generator = await generate(topology, { targets, bytes: 172, burst: 1, phases });
  try {
    await begins(generator, 0, 5_000);
    const before = await counted(topology);
    const calls = await trace(daemon, topology);
    const packets = (await counted(topology)) - before;
    expect(packets >= RATE, `only ${packets} packets came through`);
    return judge(calls, packets);
  } finally {
    await generator.stop();
    await daemon.stop();
  }
}

function judge(calls: ReadonlyMap<string, number>, packets: number): string {
  const others = [...calls].filter(([name]) => !BATCH_CALLS.includes(name));
  const figures = [...calls].map(([name, count]) => `${name} ${count}`).join(', ');
  const rest = others.reduce((sum, [, count]) => sum + count, 0);
  expect(calls.size > 0, 'strace counted nothing');
  // A timer, a command or a statistic now and then; a call for every packet would be a hundred times as many.
  expect(rest < packets / 100, `${packets} packets out: ${figures}`);
  return `${packets} packets out: ${figures}`;
}

async function play(topology: Topology, report: Report): Promise<void> {
  const targets = (count: number): string => targetFile(topology.lab, `path-${count}`, inputs(count, 'shared'));
  const fanout = {
    id: 'fanout',
    input: `rtp://0.0.0.0:${INPUT_PORT}`,
    receivers: receivers(20, COUNTED_PORT).map(({ address, port }, i) => ({
      id: `receiver-${i}`,
      to: `${address}:${port}`,
      ssrc: 1000 + i,
    })),
  };
  await report.step('one flow to 20 receivers: only the batch calls', () => traced(topology, [fanout], targets(1)));
  const voice = flowsOf({ receivers: receivers(200, COUNTED_PORT), kind: 'shared' });
  await report.step('200 flows on one port: only the batch calls', () => traced(topology, voice, targets(200)));
}

/** What the loop threads ask of the kernel while packets go through. */
export const packetPath: Scenario = {
  name: 'packet-path',
  summary: 'strace on the loop threads: no system call for a packet but those that move many',
  async play(lab, report) {
    await play(await buildFlowTopology(lab), report);
  },
};
