import { compile } from '../../test/lab/lib/compile.js';
import type { Host } from '../../test/lab/lib/host.js';
import type { Lab } from '../../test/lab/lib/lab.js';
import { during } from '../../test/lab/lib/poll.js';
import type { Child } from '../../test/lab/lib/process.js';
import { KernelRouter, type RunningRouter } from '../../test/lab/parts/multicast-routers.js';

/**
 *     near ------------ near0 access host0 --- host
 *     far --- far0 up --- up0 access side0 --- side
 */
export interface JoinTopology {
  readonly lab: Lab;
  readonly near: Host;
  readonly far: Host;
  readonly up: Host;
  readonly access: Host;
  readonly host: Host;
  readonly side: Host;
}

export const NEAR = '10.40.1.2';
export const FAR = '10.40.4.2';
/** Of the access router, towards {@link NEAR} and towards hosts. */
const ACCESS = { near: '10.40.1.1', host: '10.40.3.1', side: '10.40.5.1' } as const;
const HOST = '10.40.3.2';
const SIDE = '10.40.5.2';
const PORT = '5000';

export async function buildJoinTopology(lab: Lab): Promise<JoinTopology> {
  const [near, far] = [await lab.host('near'), await lab.host('far')];
  const [up, access] = [await lab.router('up'), await lab.router('access')];
  const [host, side] = [await lab.host('host'), await lab.host('side')];
  const join = async (
    above: readonly [Host, string, string],
    below: readonly [Host, string, string],
    net: number,
  ): Promise<void> => {
    const end = ([where, name, last]: readonly [Host, string, string]) =>
      [where, { name, addresses: [`10.40.${net}.${last}/24`] }] as const;
    await lab.link(end(above), end(below));
  };
  await join([near, 'eth0', '2'], [access, 'near0', '1'], 1);
  await join([far, 'eth0', '2'], [up, 'far0', '1'], 4);
  await join([up, 'access0', '1'], [access, 'up0', '2'], 2);
  await join([access, 'host0', '1'], [host, 'eth0', '2'], 3);
  await join([access, 'side0', '1'], [side, 'eth0', '2'], 5);
  await access.route('10.40.4.0/24', '10.40.2.1');
  await up.route('10.40.0.0/16', '10.40.2.2');
  for (const [one, via] of [
    [near, ACCESS.near],
    [far, '10.40.4.1'],
    [host, ACCESS.host],
    [side, ACCESS.side],
  ] as const)
    await one.route('default', via);
  return { lab, near, far, up, access, host, side };
}

function build(name: string): Promise<string> {
  return compile(`bench-${name}`, [`bench/join/${name}.cc`], { headers: ['bench/lib'] });
}

/** What is sent: from where, to how many groups from which on, and how often in all. */
export interface Traffic {
  readonly source: string;
  readonly first: string;
  readonly groups: number;
  readonly rate: number;
}

export async function send(topology: JoinTopology, { source, first, groups, rate }: Traffic): Promise<Child> {
  const from = source === NEAR ? topology.near : topology.far;
  const program = await build('group-source');
  const child = await from.spawn('group-source', [program, source, PORT, first, String(groups), String(rate)]);
  await during(100, () => {
    if (!child.running) throw new Error(`group-source ended: ${child.tail()}`);
  });
  return child;
}

export async function bareJoin({ access }: JoinTopology): Promise<RunningRouter> {
  const program = await build('bare-join');
  return new KernelRouter('bare-join', access, await access.spawn('bare-join', [program, ...Object.values(ACCESS)]));
}

type Mode = 'one' | 'many' | 'storm' | 'hold';

function joinerCommand(
  program: string,
  at: 'host' | 'side',
  mode: Mode,
  { source, first, groups }: Pick<Traffic, 'source' | 'first' | 'groups'>,
  last: number,
): string[] {
  const address = at === 'host' ? HOST : SIDE;
  return [program, mode, 'eth0', address, source, first, String(groups), String(last)];
}

/** The lines of the joiner, run to its end at the host; `groups` is the number of times in mode `one`. */
export async function join(
  topology: JoinTopology,
  mode: Exclude<Mode, 'hold'>,
  what: Pick<Traffic, 'source' | 'first' | 'groups'>,
  last: number,
): Promise<unknown[]> {
  const command = joinerCommand(await build('joiner'), 'host', mode, what, last);
  const { stdout } = await topology.host.must(command, { timeoutMs: 600_000 });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line): unknown => JSON.parse(line));
}

/** A host at the side that wants the groups all the time, so that their packets are at hand. */
export async function holdAtSide(
  topology: JoinTopology,
  what: Pick<Traffic, 'source' | 'first' | 'groups'>,
): Promise<Child> {
  return topology.side.spawn('joiner', joinerCommand(await build('joiner'), 'side', 'hold', what, 0));
}
