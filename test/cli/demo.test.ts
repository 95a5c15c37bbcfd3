import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { z } from 'zod';
import { ROOT } from '../../daemon/cli/root.js';
import { Program, sluice } from './lib/program.js';

const READY_WITHIN_MS = 60_000;
const OTHERS_END_WITHIN_MS = 60_000;
const ready = z.strictObject({
  pid: z.int(),
  admin: z.url(),
  status_page: z.url(),
  hls: z.url(),
  ts: z.url(),
  multicast: z.string().regex(/^rtp:\/\/[\d.]+:\d+$/),
  interface: z.literal('lo'),
  channels: z.array(z.string()).min(1),
});

async function readyFacts(demo: Program): Promise<z.output<typeof ready>> {
  const match = await demo.said(/^ready (\{.*\})$/m, READY_WITHIN_MS);
  return ready.parse(JSON.parse(match[1] ?? ''));
}

/** Processes that live, by parent. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function goneWithin(pid: number, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (isAlive(pid)) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

/**
 * Takes a port. Another test's daemon that has it ends before long, and would leave it free; a program that keeps it serves
 * as well as ours.
 */
async function occupy(t: Test, port: number): Promise<void> {
  const server = createServer();
  t.teardown(() => void server.close());
  const deadline = Date.now() + OTHERS_END_WITHIN_MS;
  while (Date.now() < deadline) {
    const ours = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (ours) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('ready means served; taken ports are avoided; SIGINT ends it', { timeout: 180_000 }, async (t) => {
  await occupy(t, 8080);
  await occupy(t, 9480);
  const demo = new Program(t, ['demo']);
  const facts = await readyFacts(demo);
  t.equal(facts.pid, demo.pid);
  t.notMatch(facts.hls, /:8080\//);
  t.notMatch(facts.admin, /:9480/);
  for (const url of [facts.status_page, facts.hls, `${facts.admin}/healthz`]) {
    t.equal((await fetch(url)).status, 200, url);
  }
  const reader = (await fetch(facts.ts)).body?.getReader();
  const first = await reader?.read();
  t.equal(first?.value?.[0], 0x47);
  await reader?.cancel();
  const shown = await sluice(t, 'show', 'channels', '--json', '--admin', facts.admin);
  t.match(JSON.parse(shown.stdout), {
    rows: facts.channels.length > 0 ? [{ state: 'flowing' }, { state: 'flowing' }] : [],
  });

  await t.test('a second demo beside it has ports and groups of its own', async (t) => {
    const other = new Program(t, ['demo']);
    const others = await readyFacts(other);
    for (const key of ['admin', 'hls', 'multicast'] as const) t.not(others[key], facts[key], key);
    other.child.kill('SIGTERM');
    t.match(await other.ended, { code: 0, signal: null });
  });

  const began = Date.now();
  process.kill(facts.pid, 'SIGINT');
  const { code, stdout } = await demo.ended;
  t.equal(code, 0);
  t.ok(Date.now() - began < 5000);
  t.equal(stdout.match(/^ready /gm)?.length, 1, 'one ready line');
  await t.rejects(fetch(facts.hls), 'nothing listens any more');
});

test('the end of its parent ends it', { timeout: 120_000 }, async (t) => {
  const sluiceJs = join(ROOT, 'dist', 'daemon', 'cli', 'sluice.js');
  const text = `require('child_process').spawn(process.execPath, [${JSON.stringify(sluiceJs)}, 'demo'], { stdio: 'inherit' })`;
  const parent = new Program(t, ['-e', text], [process.execPath]);
  const { pid } = await readyFacts(parent);
  t.teardown(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  parent.child.kill('SIGKILL');
  t.ok(await goneWithin(pid, 5000));
});
