import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { poll } from './lib/poll.js';
import { exec, isAlive, signal } from './lib/process.js';
import { Report, Skip } from './lib/report.js';

const RUN = fileURLToPath(new URL('./run.js', import.meta.url));
const result = z.object({
  lab: z.string(),
  ok: z.boolean(),
  steps: z.array(z.object({ name: z.string(), ok: z.boolean(), figure: z.string() })),
  skipped: z.array(z.object({ name: z.string(), required: z.boolean(), reason: z.string() })),
});

const possible = spawnSync('unshare', process.getuid?.() === 0 ? ['-n', 'true'] : ['-Urnm', 'true']).status === 0;
const unless = possible ? {} : { skip: 'network namespaces are not allowed here' };
const isRoot = process.getuid?.() === 0;
const NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
const nobodyMay = isRoot && spawnSync('setpriv', [...NOBODY, 'unshare', '-Urnm', 'true']).status === 0;
/** The test runner makes every child write beside its own results, where another user may not. */
const UNHOOKED = ['env', '-u', 'NODE_OPTIONS'];

/** The lab `hold` once it stands: its process and those it holds. */
interface Held {
  readonly lab: ChildProcess;
  readonly namespaces: string[];
  readonly pids: number[];
}

async function hold(command: readonly string[] = [process.execPath, RUN, 'hold']): Promise<Held> {
  const [file = '', ...args] = command;
  const lab = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  lab.stdout?.on('data', (piece: Buffer) => {
    text += piece.toString();
  });
  await poll(
    () => text.includes('\nholding\n'),
    20_000,
    () => `the lab to stand: ${text}`,
  );
  const namespaces = [...text.matchAll(/netns exec (\S+)/g)].map((found) => found[1] ?? '');
  return { lab, namespaces, pids: [...text.matchAll(/holds pid (\d+)/g)].map((found) => Number(found[1])) };
}

function existing(namespaces: readonly string[]): string[] {
  try {
    return readdirSync('/run/netns').filter((name) => namespaces.includes(name));
  } catch {
    return [];
  }
}

async function goneWithin(t: Test, held: Held): Promise<void> {
  t.equal(held.pids.length, 4, 'four hosts held a process each');
  await poll(() => held.pids.every((pid) => !isAlive(pid)), 10_000, 'the processes to end');
  await poll(() => existing(held.namespaces).length === 0, 10_000, 'the namespaces to go');
  t.pass('processes and namespaces are gone');
}

t.test('a skipped step is neither passed nor failed', async (t) => {
  const report = new Report('x');
  await report.step('passes', () => 'figure');
  t.ok(report.ok);
  await report.step('optional', () => Promise.reject(new Skip('no tool')), { required: false });
  t.ok(report.ok, 'an optional one changes nothing');
  await report.step('required', () => Promise.reject(new Skip('no tool')));
  t.notOk(report.ok, 'a required one does');
  t.equal(report.steps.length, 1);
  t.same(result.parse(JSON.parse(report.json())).skipped, [
    { name: 'optional', required: false, reason: 'no tool' },
    { name: 'required', required: true, reason: 'no tool' },
  ]);
});

t.test('a lab without a step is not ok', (t) => {
  t.notOk(new Report('x').ok);
  t.end();
});

t.test('the names are listed, an unknown one is wrong use', async (t) => {
  const list = await exec([process.execPath, RUN]);
  t.equal(list.code, 0);
  t.match(list.stdout, /^main-job .*\nbad-input /);
  const unknown = await exec([process.execPath, RUN, 'nonsense']);
  t.equal(unknown.code, 2);
  t.match(unknown.stderr, /main-job, bad-input/);
});

t.test('the helper does what it says', { timeout: 90_000, ...unless }, async (t) => {
  const run = await exec([process.execPath, RUN, 'helper', '--json'], { timeoutMs: 80_000 });
  const last = result.parse(JSON.parse(run.stdout.trim().split('\n').at(-1) ?? ''));
  t.ok(last.ok, run.stdout);
  t.equal(run.code, 0);
});

t.test('SIGTERM cleans up and is not ok', { timeout: 60_000, ...unless }, async (t) => {
  const held = await hold();
  held.lab.kill('SIGTERM');
  const code = await new Promise((resolve) => held.lab.on('exit', resolve));
  t.equal(code, 1);
  await goneWithin(t, held);
});

t.test('SIGKILL leaves nothing behind either', { timeout: 60_000, ...unless }, async (t) => {
  const held = await hold();
  held.lab.kill('SIGKILL');
  await goneWithin(t, held);
});

t.test('the end of the parent ends the lab', { timeout: 60_000, ...unless }, async (t) => {
  const held = await hold(['sh', '-c', `"${process.execPath}" "${RUN}" hold; true`]);
  held.lab.kill('SIGKILL');
  await goneWithin(t, held);
});

const swept = possible && isRoot ? {} : { skip: 'a private /run goes with its processes' };
t.test(
  'what a killed lab and its killed reaper left is swept by the next',
  { timeout: 60_000, ...swept },
  async (t) => {
    const held = await hold();
    const children = await exec(['ps', '-o', 'pid=,args=', '--ppid', String(held.lab.pid)]);
    const reaper = /^\s*(\d+) sh -c .*reaper/m.exec(children.stdout)?.[1];
    t.ok(reaper, children.stdout);
    signal(Number(reaper), 'SIGKILL');
    held.lab.kill('SIGKILL');
    await poll(() => held.lab.exitCode !== null || held.lab.signalCode !== null, 5_000, 'the lab to end');
    t.equal(existing(held.namespaces).length, 4, 'nobody has cleaned up');
    const next = await hold();
    t.equal(existing(held.namespaces).length, 0, 'the next run has');
    next.lab.kill('SIGTERM');
    await goneWithin(t, next);
  },
);

const ordinary = nobodyMay ? {} : { skip: isRoot ? 'user namespaces are not allowed here' : 'the other tests ran so' };
t.test('an ordinary user has a lab of his own', { timeout: 60_000, ...ordinary }, async (t) => {
  const held = await hold(['setpriv', ...NOBODY, ...UNHOOKED, process.execPath, RUN, 'hold']);
  t.equal(existing(held.namespaces).length, 0, 'its namespaces are not in our /run');
  held.lab.kill('SIGTERM');
  await goneWithin(t, held);
});
