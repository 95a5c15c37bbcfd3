import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { z } from 'zod';
import { SluiceError } from '../../daemon/base/errors.js';
import { loadConfig, type Problem, parseConfig } from '../../daemon/config/load.js';
import { bytes, duration, id, listenAddress } from '../../daemon/config/units.js';

const schema = z.strictObject({
  http: z
    .strictObject({
      listen: z.array(listenAddress).min(1).prefault(['0.0.0.0:8080']),
      idle_timeout: duration({ min: 1000, max: 600_000 }).prefault('60s'),
      memory: bytes({ min: 1024, max: 2 ** 30 }).prefault('1MiB'),
    })
    .prefault({}),
  mode: z.enum(['auto', 'plain']).default('auto'),
  channels: z.array(z.strictObject({ id, urls: z.union([z.string(), z.array(z.string())]).optional() })),
});
const rules = { schema };

/** The lines of the refusal; fails the test by returning nothing when the text was taken. */
function linesOf(text: string): string[] {
  try {
    parseConfig(text, 'f.yaml', rules);
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.message.split('\n');
  }
}

test('defaults are filled in and the result is frozen', async (t) => {
  const config = parseConfig('channels: [{ id: news }]', 'f.yaml', rules);
  t.same(config, {
    http: { listen: [{ address: '0.0.0.0', port: 8080 }], idle_timeout: 60_000, memory: 1_048_576 },
    mode: 'auto',
    channels: [{ id: 'news' }],
  });
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.http.listen[0]) && Object.isFrozen(config.channels[0]));
});

test('all problems come at once, each with its place, key, expectation and value', async (t) => {
  const text = [
    'http:',
    '  listen: [localhost:80]',
    '  idel_timeout: 5s',
    '  memory: 12',
    'mode: fast',
    'channels:',
    '  - id: News',
    '    urls: 7',
    '  - name: x',
  ].join('\n');
  t.same(linesOf(text), [
    'f.yaml:2:12: http.listen[0]: not valid (expected ADDRESS:PORT with a numeric address, such as 0.0.0.0:8080 or [::]:8080, got "localhost:80")',
    'f.yaml:3:3: http.idel_timeout: unknown key, did you mean idle_timeout? (expected one of listen, idle_timeout, memory, got "idel_timeout")',
    'f.yaml:4:11: http.memory: wrong type (expected a size of 1KiB to 1GiB, such as 512KiB, 32MiB or 1GiB, got 12)',
    'f.yaml:5:7: mode: not valid (expected one of auto, plain, got "fast")',
    'f.yaml:7:9: channels[0].id: not valid (expected an id: 1 to 63 lower-case letters, digits and hyphens, a letter or digit first, got "News")',
    'f.yaml:8:11: channels[0].urls: not valid (expected a text or a list, got 7)',
    'f.yaml:9:5: channels[1].id: missing (expected an id: 1 to 63 lower-case letters, digits and hyphens, a letter or digit first, got nothing)',
    'f.yaml:9:5: channels[1].name: unknown key (expected one of id, urls, got "name")',
  ]);
});

test('YAML that is not YAML, twice the same key, several documents', async (t) => {
  t.match(linesOf('channels: [\n'), [/^f\.yaml:2:1: not valid YAML: /]);
  t.match(linesOf('mode: auto\nmode: plain\nchannels: []'), [/^f\.yaml:2:1: not valid YAML: map keys must be unique$/]);
  t.match(linesOf('channels: []\n---\nchannels: []'), [/not valid YAML: .*multiple documents/]);
  t.match(linesOf(''), [/^f\.yaml:1:1: channels: missing \(expected a list, got nothing\)$/]);
});

test('what several parts say together is told with the rest', async (t) => {
  const cross = { schema, cross: () => [{ path: ['channels', 0], message: 'collides' }] };
  t.throws(() => parseConfig('channels: [{ id: A }]', 'f.yaml', cross), {
    message: /channels\[0\]: collides\n.*channels\[0\]\.id: not valid/,
  });
});

test('hostile text is refused within bounds, never more', { timeout: 60_000 }, async (t) => {
  const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
  for (let level = 1; level < 12; level++)
    bomb.push(
      `a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(',')}]`,
    );
  const cases: Record<string, string> = {
    'alias bomb': bomb.join('\n'),
    'alias of itself': 'channels: &a [*a]',
    'unresolved alias': 'channels: *nobody',
    'deep nesting': `channels: ${'['.repeat(50_000)}`,
    'deep closed nesting': `channels: ${'['.repeat(5000)}${']'.repeat(5000)}`,
    'wrong root': '[1, 2]',
    'only a number': '7',
    'many wrong entries': `channels:\n${'  - 1\n'.repeat(20_000)}`,
    'many unknown keys': Array.from({ length: 5000 }, (_, n) => `key${n}: 1`).join('\n'),
    'prototype key': '__proto__: { mode: plain }\nchannels: []',
    'constructor key': 'constructor: 1\nchannels: []',
    'unknown tag': 'channels: !!js/function "x"',
    'number with unit that is a property': 'channels: []\nhttp: { idle_timeout: 1constructor }',
    'control characters': 'channels: "\u0000\u0001"',
    'null everywhere': 'http: ~\nmode: ~\nchannels: ~',
    'map as key': '? { a: 1 }\n: 2\nchannels: []',
  };
  for (const [name, text] of Object.entries(cases)) {
    const lines = linesOf(text);
    t.ok(lines.length >= 1 && lines.length <= 101, `${name}: ${lines[0]}`);
    t.ok(
      lines.every((line) => line.startsWith('f.yaml:') && line.length < 400),
      `${name}: readable lines`,
    );
  }
});

test('every truncation of a good file, and random changes of it, is taken or refused', {
  timeout: 60_000,
}, async (t) => {
  const good =
    'http:\n  listen: ["[::]:80"]\n  memory: &m 32MiB # c\nchannels:\n  - { id: a, urls: ["x\\u0041", y] }\n  - id: b\n    urls: >-\n      text\n';
  t.same(linesOf(good), []);
  for (let length = 0; length < good.length; length++) linesOf(good.slice(0, length));
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  let refused = 0;
  for (let round = 0; round < 1500; round++) {
    const letters = good.split('');
    for (let change = 0; change <= random(4); change++)
      letters[random(letters.length)] = String.fromCharCode(random(128));
    if (linesOf(letters.join('')).length > 0) refused++;
  }
  t.ok(refused > 500, `${refused} of 1500 refused`);
});

test('files that are not there, not text, too large, or a directory', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-config-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const binary = join(folder, 'binary.yaml');
  const huge = join(folder, 'huge.yaml');
  await writeFile(binary, Buffer.from([0x61, 0xff, 0xfe, 0x00]));
  await writeFile(huge, Buffer.alloc(5 * 2 ** 20, 0x20));
  for (const [file, reason] of [
    [join(folder, 'none.yaml'), /none\.yaml: there is no such file/],
    [binary, /not a text \(expected UTF-8\)/],
    [huge, /too large \(expected at most 4194304 bytes, got 5242880\)/],
    [folder, /a directory/],
  ] as const) {
    await t.rejects(loadConfig(file, rules), { code: 'CONFIG_UNREADABLE', message: reason });
  }
});

test('a key with control characters cannot write to the terminal', async (t) => {
  for (const key of ['a\u001b[2J', '"b\\u0085c"', '"d\\u2028e"', '"f\\rg"']) {
    const [line = '', ...more] = linesOf(`channels: []\n${key}: 1\n`);
    t.match(line, /^f\.yaml:2:1: .*unknown key/);
    t.notMatch(line, /[\p{Cc}\u2028\u2029]/u);
    t.same(more, [], 'one line');
  }
});

test('places as data, for programs', async (t) => {
  try {
    parseConfig('channels: 5', 'f.yaml', rules);
    t.fail('taken');
  } catch (error) {
    t.ok(error instanceof SluiceError);
    const { problems } = (error as SluiceError).details as { problems: Problem[] };
    t.same(problems, [{ line: 1, column: 11, key: 'channels', message: 'wrong type (expected a list, got 5)' }]);
  }
});
