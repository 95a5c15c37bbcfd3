import t from 'tap';
import {
  DAEMON_RULES,
  daemonUses,
  filesBelow,
  importsOf,
  includesOf,
  NATIVE_RULES,
  nativeUses,
  readSource,
  violations,
} from './quality/rooms.js';

t.test('TypeScript rooms use only the rooms above them', async (t) => {
  const uses = daemonUses();
  t.ok(uses.length > 0, 'imports were found');
  t.same(violations(uses, DAEMON_RULES), []);
});

t.test('C++ rooms use only the rooms they may', async (t) => {
  const uses = nativeUses();
  t.ok(uses.length > 0, 'includes were found');
  t.same(violations(uses, NATIVE_RULES), []);
});

t.test('only daemon/plane loads the addon', async (t) => {
  const files = ['daemon', 'test', 'bench'].flatMap((folder) => filesBelow(folder, /\.ts$/));
  const loaders = files.filter((file) => /node-gyp-build|\.node['"`]|process\.dlopen/.test(readSource(file)));
  const strangers = loaders.filter((file) => !file.startsWith('daemon/plane/') && file !== 'test/imports.test.ts');
  t.same(strangers, []);
});

t.test('only native/addon includes napi.h, and nothing includes upwards', async (t) => {
  for (const file of filesBelow('native', /\.(cc|h)$/)) {
    for (const { name } of includesOf(readSource(file))) {
      if (/^(napi|node_api)/.test(name)) t.match(file, /^native\/addon\//, `${file} includes ${name}`);
      t.notMatch(name, /(^|\/)\.\.\//, `${file} includes ${name}`);
    }
  }
});

t.test('codec has no system calls and no clock', async (t) => {
  for (const file of filesBelow('native/codec', /\.(cc|h)$/)) {
    for (const { name, own } of includesOf(readSource(file))) {
      if (!own) t.notMatch(name, /^(sys\/|unistd|time\.h|chrono|thread|mutex|pthread)/, `${file} includes ${name}`);
    }
  }
});

t.test('the daemon uses nothing of tests and benches', async (t) => {
  for (const file of filesBelow('daemon', /\.ts$/)) {
    for (const name of importsOf(readSource(file)))
      t.notMatch(name, /(^|\/)(test|bench|scripts)\//, `${file} imports ${name}`);
  }
});

t.test('the checker finds what is forbidden', async (t) => {
  const bad = [
    { file: 'base/log.ts', uses: 'config/load.js' },
    { file: 'streams/source.ts', uses: 'admin/api.js' },
    { file: 'systems/tv-share/a.ts', uses: 'systems/push-to-talk/b.js' },
    { file: 'admin/api.ts', uses: 'main.js' },
    { file: 'newroom/a.ts', uses: 'base/log.js' },
    { file: 'base/log.ts', uses: '../scripts/x.js' },
  ];
  t.equal(violations(bad, DAEMON_RULES).length, bad.length);
  const good = [
    { file: 'systems/tv-share/a.ts', uses: 'systems/tv-share/b.js' },
    { file: 'cli/run.ts', uses: 'main.js' },
    { file: 'main.ts', uses: 'admin/api.js' },
  ];
  t.same(violations(good, DAEMON_RULES), []);
  t.equal(violations([{ file: 'codec/rtp.h', uses: 'kernel/fd.h' }], NATIVE_RULES).length, 1);
  t.same(importsOf("import type { A } from './a.js';\nexport * from './b.js';\nconst c = await import('./c.js');"), [
    './a.js',
    './b.js',
    './c.js',
  ]);
});
