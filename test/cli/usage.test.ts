import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'tap';
import { formatTable } from '../../daemon/cli/output.js';
import { VERSION } from '../../daemon/cli/root.js';
import { sluice, temporaryFolder } from './lib/program.js';

test('every command has help, and help is no error', { timeout: 60_000 }, async (t) => {
  const main = await sluice(t, '--help');
  t.equal(main.code, 0);
  const commands = [
    'run',
    'check',
    'demo',
    'receive',
    'capture',
    'replay',
    'show',
    'why',
    'gate',
    'purge',
    'reload',
    'stop',
    'sign',
    'completion',
    'bench',
  ];
  for (const command of commands) {
    t.match(main.stdout, new RegExp(`^  ${command} `, 'm'));
    const help = await sluice(t, command, '--help');
    t.match(help, { code: 0, stdout: new RegExp(`^Usage: sluice ${command}`) });
  }
  t.match(await sluice(t, '--version'), { code: 0, stdout: `${VERSION}\n` });
});

test('wrong use is told on standard error with exit code 2', { timeout: 60_000 }, async (t) => {
  for (const args of [
    [],
    ['fly'],
    ['run'],
    ['run', '-c'],
    ['run', '-c', 'x.yaml', '--log-level', 'loud'],
    ['run', '-c', '/nonexistent/x.yaml'],
    ['check'],
    ['check', '-c', '/nonexistent/x.yaml'],
    ['check', '-c', 'config/sluice.yaml', '--exit-code'],
    ['show'],
    ['show', 'channels', '--admin', 'ftp://127.0.0.1'],
    ['show', 'channels', 'more', 'still'],
    ['gate', 'a/b', 'ajar'],
    ['gate', 'a', 'open'],
    ['why', 'channel'],
    ['demo', '--fast'],
    ['capture', '--control', 'x.pcap'],
    ['capture', '--control', '--port', '5', 'x.pcapng'],
    ['capture', '--admin', '/nonexistent/x.sock', 'x.pcapng'],
  ]) {
    const { code, stdout, stderr } = await sluice(t, ...args);
    t.equal(code, 2, args.join(' '));
    t.equal(stdout, '');
    t.ok(stderr.length > 10 && !stderr.includes('    at '), 'a sentence, not a stack');
  }
});

test('check tells everything at once', { timeout: 60_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const bad = join(folder, 'bad.yaml');
  writeFileSync(bad, 'htp: {}\nchannels:\n  - id: Bad\n    renditions: []\n');
  const { code, stdout, stderr } = await sluice(t, 'check', '-c', bad);
  t.equal(code, 2);
  t.equal(stdout, '');
  const lines = stderr.trimEnd().split('\n');
  t.match(lines, [
    `${bad}:1:1: htp: unknown key, did you mean http? (expected one of `,
    `${bad}:3:9: channels[0].id: not valid (expected an id: `,
    `${bad}:4:17: channels[0].renditions: not valid (expected at least one rendition, got a list)`,
  ]);
  t.equal(lines.length, 3);

  const json = await sluice(t, 'check', '-c', bad, '--json');
  t.equal(json.code, 2);
  t.match(JSON.parse(json.stdout), {
    ok: false,
    file: bad,
    problems: [{ line: 1, column: 1, key: 'htp' }, { line: 3 }, { line: 4 }],
  });

  const good = join(folder, 'good.yaml');
  writeFileSync(good, 'channels: [{ id: a, renditions: [{ id: b, url: "http://x.example/y.ts" }] }]');
  t.match(await sluice(t, 'check', '-c', good), { code: 0, stdout: `${good}: ok, 1 channel, 0 sites\n`, stderr: '' });
});

test('a daemon that is not there, or is something else', { timeout: 60_000 }, async (t) => {
  const socket = join(temporaryFolder(t), 'none.sock');
  for (const args of [['show', 'channels'], ['why', 'channel', 'x'], ['purge', 'vod'], ['reload'], ['stop']]) {
    const { code, stderr } = await sluice(t, ...args, '--admin', socket);
    t.equal(code, 1);
    t.match(stderr, /^sluice: DAEMON_UNREACHABLE: no answer from the daemon at .*: is the daemon running\?\n$/);
  }
  const answers = ['<html>', '{"columns": 7}', ''];
  const server = createServer((_request, response) => response.end(answers.shift()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void server.close());
  const { port } = server.address() as AddressInfo;
  for (let n = 0; n < 3; n++) {
    const { code, stderr } = await sluice(t, 'show', 'channels', '--admin', `http://127.0.0.1:${port}`);
    t.equal(code, 1);
    t.match(stderr, /DAEMON_UNREACHABLE: .*its answer is not/);
  }
});

test('tables', async (t) => {
  const table = {
    columns: ['id', 'viewers', 'urls', 'ready'],
    rows: [
      { id: 'news', viewers: 12, urls: ['a', 'b'], ready: true, hidden: 1 },
      { id: 'x', viewers: 3, urls: [], ready: null },
    ],
  };
  t.equal(formatTable(table), 'ID    VIEWERS  URLS  READY\nnews       12  a,b   yes\nx           3        -');
  t.equal(formatTable({ columns: ['id'], rows: [] }), 'ID');
});
