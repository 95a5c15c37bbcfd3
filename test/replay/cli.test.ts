import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Program, sluice, temporaryFolder } from '../cli/lib/program.js';
import { HIGH, LOW } from './fixtures.js';

test('it serves until it is told to end, and tells its port', { timeout: 60_000 }, async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const portFile = join(temporaryFolder(t), 'port');
    const listen = ['--listen', '127.0.0.1:0', '--port-file', portFile];
    const program = new Program(t, ['replay', '--serve', ...listen, `high=${HIGH}`, LOW]);
    const [, url = ''] = await program.said(/^serving high, demo-low: (http:\S+)\/master\.m3u8$/m, 30_000);
    t.ok(existsSync(portFile));
    t.equal(readFileSync(portFile, 'utf8'), `${new URL(url).port}\n`);
    const text = await (await fetch(`${url}/demo-low.m3u8`)).text();
    t.match(text, /^#EXTM3U\n/);
    // An open stream does not hold it.
    const stream = await fetch(`${url}/high.ts`);
    program.child.kill(signal);
    t.match(await program.ended, { code: 0, signal: null, stderr: '' });
    await stream.arrayBuffer().catch(() => undefined);
  }
});

test('bad captures end it with exit code 1, wrong use with 2', { timeout: 60_000 }, async (t) => {
  const bad = join(temporaryFolder(t), 'bad.pcap');
  writeFileSync(bad, readFileSync(LOW).subarray(0, 5000));
  const ended = await sluice(t, 'replay', '--serve', bad);
  t.match(ended, {
    code: 1,
    stdout: '',
    stderr: /^sluice: CAPTURE_INVALID: .*bad\.pcap: at byte \d+: expected .*, got .*\n$/,
  });
  t.match(await sluice(t, 'replay', '--serve', '/nonexistent'), {
    code: 1,
    stderr: /CAPTURE_INVALID: \/nonexistent: expected a file/,
  });
  for (const args of [
    ['--serve'],
    [LOW],
    ['--serve', '--listen', 'localhost:1', LOW],
    ['--serve', '--port', '65536', LOW],
    ['--serve', '--segment', '2', LOW],
    ['--serve', '--window', '2', LOW],
    ['--serve', LOW, LOW],
  ]) {
    const { code, stderr } = await sluice(t, 'replay', ...args);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, /expected|missing required argument/);
  }
});
