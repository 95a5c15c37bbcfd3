// The access log of a daemon: what stands there, as others read it, and its rotation.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { temporaryFolder } from '../cli/lib/program.js';
import { Bed } from '../reload/bed.js';
import { until } from '../streams/edge.js';
import { startOrigin } from './origin.js';

t.setTimeout(60_000);

/** The combined log format (httpd.apache.org, mod_log_config). */
const COMBINED =
  /^(?<host>\S+) \S+ \S+ \[(?<time>\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(?<request>[^"]*)" (?<status>\d{3}) (?<bytes>\d+) "(?<referer>[^"]*)" "(?<agent>[^"]*)"$/;

t.test('requests are logged as they end; a file that was moved is let go by a reload', async (t) => {
  const origin = await startOrigin(t, { '/a.bin': 'twelve bytes', '/big.bin': 'x'.repeat(100_000) });
  const file = join(temporaryFolder(t), 'access.log');
  const lines = (of = file): string[] => readFileSync(of, 'utf8').trimEnd().split('\n');
  const settings = (format: string): object => ({
    sites: [{ id: 'cdn', origin: origin.url }],
    http: { listen: ['127.0.0.1:0'], access_log: { file, format } },
  });
  const bed = await Bed.start(t, settings('combined'));
  const ask = async (path: string, headers: Record<string, string> = {}): Promise<void> => {
    await (await fetch(bed.daemon.viewersUrl + path, { headers })).arrayBuffer();
  };
  await ask('/cdn/a.bin?x=1', { 'user-agent': 'bad" agent\\', referer: 'http://page.example/' });
  await ask('/cdn/none');
  await ask('/nowhere');
  await until('three lines', () => lines().length === 3);
  const fields = lines().map((line) => ({ ...COMBINED.exec(line)?.groups }));
  t.match(fields, [
    {
      host: '127.0.0.1',
      request: 'GET /cdn/a.bin?x=1 HTTP/1.1',
      status: '200',
      bytes: '12',
      referer: 'http://page.example/',
      agent: 'bad\\x22 agent\\x5C',
    },
    { request: 'GET /cdn/none HTTP/1.1', status: '404', referer: '-' },
    { request: 'GET /nowhere HTTP/1.1', status: '404', bytes: '33' },
  ]);

  renameSync(file, `${file}.1`);
  await ask('/cdn/a.bin');
  // Unchanged: what rotates logs sends SIGHUP, and nothing else.
  t.match(await bed.reload(), { outcome: 'unchanged', steps: [`http.access_log: ${file} is opened again`] });
  t.equal(lines(`${file}.1`).length, 4, 'what came before is in the old file');
  await ask('/cdn/a.bin');
  await until('a line in the new file', () => readFileSync(file, 'utf8') !== '');
  t.match(lines(), [COMBINED]);

  renameSync(file, `${file}.2`);
  await bed.reload(settings('json'));
  await ask('/cdn/big.bin');
  await ask('/cdn/big.bin');
  await until('lines of JSON', () => lines().length === 2);
  const rows = lines().map((line) => JSON.parse(line) as Record<string, unknown>);
  const common = { method: 'GET', target: '/cdn/big.bin', protocol: 'HTTP/1.1', status: 200, source: 'cdn', tls: '' };
  t.match(rows, [
    { ...common, cache: 'miss', remote: '127.0.0.1' },
    { ...common, cache: 'hit', bytes: 100_000 },
  ]);
  for (const { time, duration_ms: duration, first_byte_ms: first } of rows) {
    t.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000, String(time));
    t.ok(Number(duration) >= Number(first) && Number(first) >= 0, `${String(first)} of ${String(duration)} ms`);
  }
  t.match(await bed.metrics(), /sluice_access_log_lines_total\{result="logged"\} 7\n/);
});

t.test('a file that cannot be opened refuses the reload, and the log goes on where it was', async (t) => {
  const origin = await startOrigin(t, { '/a.bin': 'x' });
  const folder = temporaryFolder(t);
  const file = join(folder, 'access.log');
  writeFileSync(join(folder, 'plain'), '');
  const settings = (path: string): object => ({
    sites: [{ id: 'cdn', origin: origin.url }],
    http: { listen: ['127.0.0.1:0'], access_log: { file: path } },
  });
  const bed = await Bed.start(t, settings(file));
  await t.rejects(bed.reload(settings(join(folder, 'plain', 'access.log'))), { code: 'SYSTEM_CALL' });
  await (await fetch(`${bed.daemon.viewersUrl}/cdn/a.bin`)).text();
  await until('the line', () => readFileSync(file, 'utf8') !== '');
});
