import { z } from 'zod';
import { poll } from '../../../test/lab/lib/poll.js';
import type { Child } from '../../../test/lab/lib/process.js';
import type { Topology } from '../topology.js';
import { flowTool, HEARD_PORT, on } from './topology.js';

/** A time of constant rate. */
export interface Phase {
  /** Packets a second, all flows together. */
  readonly rate: number;
  readonly seconds: number;
}

export interface Traffic {
  /** Made by `targetFile`: a line for every flow. */
  readonly targets: string;
  /** UDP payload, the RTP header included. */
  readonly bytes: number;
  /** Packets of a flow that leave together. */
  readonly burst: number;
  readonly phases: readonly Phase[];
}

/** Starts RTP from the source; the generator ends after its last phase. */
export async function generate({ source }: Topology, traffic: Traffic): Promise<Child> {
  const phases = traffic.phases.map(({ rate, seconds }) => `${rate.toFixed(3)}:${seconds}`);
  const command = [await flowTool('rtpgen'), traffic.targets, String(traffic.bytes), String(traffic.burst), ...phases];
  return source.spawn('rtpgen', on('tools', command));
}

const begun = z.object({ begins: z.number(), at: z.number() });
const ended = z.object({ phase: z.number(), sent: z.number(), asked: z.number() });

/** When (CLOCK_REALTIME, ns) a phase began. */
export async function begins(generator: Child, phase: number, timeoutMs: number): Promise<number> {
  const found = (): number | undefined => {
    if (!generator.running && generator.exit?.code !== 0) throw new Error(`rtpgen failed: ${generator.tail()}`);
    const all = generator.lines().map((line) => begun.safeParse(JSON.parse(line)).data);
    return all.find((one) => one?.begins === phase)?.at;
  };
  return poll(found, timeoutMs, `phase ${phase} of the generator`, 5);
}

/** Packets of each phase, and how many there should have been; waits for the generator's end. */
export async function sentBy(generator: Child): Promise<z.infer<typeof ended>[]> {
  const exit = await generator.exited;
  if (exit.code !== 0) throw new Error(`rtpgen failed: ${generator.tail()}`);
  return generator.lines().flatMap((line) => ended.safeParse(JSON.parse(line)).data ?? []);
}

const heard = z.object({
  phase: z.number(),
  packets: z.number(),
  flows: z.number(),
  /** Times that something was missing in a flow. */
  gaps: z.number(),
  allFlows: z.number(),
  p50: z.number(),
  p99: z.number(),
  p999: z.number(),
});
/** What the sink heard of one phase; delays in microseconds from the generator's call to the arrival at the interface. */
export type Heard = z.infer<typeof heard>;

/** Starts the sink of so many flows behind {@link HEARD_PORT}. */
export async function listen({ viewers }: Topology, flows: number): Promise<Child> {
  const sink = await viewers.spawn(
    'rtpsink',
    on('tools', [await flowTool('rtpsink'), String(HEARD_PORT), String(flows)]),
  );
  await sink.waitForLine(/./, 5_000);
  return sink;
}

/** Ends a sink and tells what it heard, by the phase of the generator. */
export async function heardBy(sink: Child): Promise<Map<number, Heard>> {
  await sink.stop();
  const all = sink.lines().flatMap((line) => heard.safeParse(JSON.parse(line)).data ?? []);
  return new Map(all.map((one) => [one.phase, one]));
}
