import { pino } from 'pino';
import { test } from 'tap';
import { systemClock } from '../../daemon/base/clock.js';
import { SluiceError } from '../../daemon/base/errors.js';
import { Metrics } from '../../daemon/base/metrics.js';
import { isCovered, type Reloadable, type Step } from '../../daemon/base/reloadable.js';
import { Reloader } from '../../daemon/config/reload.js';

interface Settings {
  readonly a: number;
  readonly b: number;
  readonly fixed: number;
}

const START: Settings = { a: 1, b: 1, fixed: 1 };

/** Parts `a` and `b`, of two steps each, that note what is done; and the file. */
class Scene {
  readonly done: string[] = [];
  readonly errors: string[] = [];
  readonly metrics = new Metrics();
  file: Settings | Error = START;
  /** Steps that throw: `prepare a2`, `commit b1`. */
  readonly failing = new Set<string>();
  readonly reloader: Reloader<Settings>;
  /** Resolved before a step does its work. */
  gate: Promise<void> = Promise.resolve();

  constructor(withFile = true) {
    const load = async (): Promise<Settings> => {
      if (this.file instanceof Error) throw this.file;
      return this.file;
    };
    this.reloader = new Reloader({
      source: withFile ? { file: 'f.yaml', load } : null,
      settings: START,
      parts: [this.#part('a'), this.#part('b')],
      log: pino({ level: 'error' }, { write: (line) => void this.errors.push(line) }),
      clock: systemClock,
      metrics: this.metrics,
    });
  }

  #part(key: 'a' | 'b'): Reloadable<Settings> {
    return {
      covers: [key],
      plan: (old, next) => {
        if (next[key] === 13) return { steps: [], restart: [{ key, reason: 'thirteen is for later' }] };
        return { steps: old[key] === next[key] ? [] : [this.#step(`${key}1`), this.#step(`${key}2`)] };
      },
    };
  }

  #step(name: string): Step {
    const act = async (verb: string): Promise<void> => {
      await this.gate;
      this.done.push(`${verb} ${name}`);
      if (this.failing.has(`${verb} ${name}`)) throw new SluiceError('ADDRESS_IN_USE', `${verb} ${name} fails`);
    };
    return {
      says: `step ${name}`,
      prepare: () => act('prepare'),
      undo: () => act('undo'),
      commit: () => act('commit'),
    };
  }

  async count(result: string): Promise<number> {
    const text = await this.metrics.text();
    return Number(new RegExp(`sluice_config_reloads_total\\{result="${result}"\\} (\\d+)`).exec(text)?.[1]);
  }
}

const by = { by: 'test' };

test('everything is prepared before anything is committed', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  scene.file = { a: 2, b: 3, fixed: 1 };
  t.same(await scene.reloader.reload(by), {
    outcome: 'applied',
    file: 'f.yaml',
    changes: [
      { key: 'a', kind: 'changed', old: 1, new: 2 },
      { key: 'b', kind: 'changed', old: 1, new: 3 },
    ],
    steps: ['step a1', 'step a2', 'step b1', 'step b2'],
  });
  const each = (verb: string): string[] => ['a1', 'a2', 'b1', 'b2'].map((name) => `${verb} ${name}`);
  t.same(scene.done, [...each('prepare'), ...each('commit')]);
  t.same(scene.reloader.running(), { file: 'f.yaml', config: { a: 2, b: 3, fixed: 1 }, reloadable: ['a', 'b'] });
  t.match(await scene.reloader.reload(by), { outcome: 'unchanged', changes: [], steps: [] });
  t.equal(await scene.count('applied'), 1);
  t.equal(await scene.count('unchanged'), 1);
});

test('a step that cannot be prepared: those before it are undone, the last first, and the error is told', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  scene.file = { a: 2, b: 2, fixed: 1 };
  scene.failing.add('prepare b1');
  await t.rejects(scene.reloader.reload(by), { code: 'ADDRESS_IN_USE', message: 'prepare b1 fails' });
  t.same(scene.done, ['prepare a1', 'prepare a2', 'prepare b1', 'undo a2', 'undo a1']);
  t.match(scene.reloader.running(), { config: START });
  t.equal(await scene.count('failed'), 1);
  t.equal(await scene.count('refused'), 0);
  scene.failing.clear();
  t.match(await scene.reloader.reload(by), { outcome: 'applied' }, 'the next may be better');
});

test('steps that fail where they must not are logged and keep nobody from being done', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  scene.file = { a: 2, b: 2, fixed: 1 };
  scene.failing.add('prepare b2').add('undo a2');
  await t.rejects(scene.reloader.reload(by), { message: 'prepare b2 fails' });
  t.same(scene.done.slice(-3), ['undo b1', 'undo a2', 'undo a1']);
  t.match(scene.errors[0], /"step":"step a2","verb":"undo"/);
  scene.failing.clear();
  scene.failing.add('commit a1');
  t.match(await scene.reloader.reload(by), { outcome: 'applied' });
  t.same(scene.done.slice(-4), ['commit a1', 'commit a2', 'commit b1', 'commit b2']);
  t.match(scene.errors.at(-1), /"step":"step a1","verb":"commit"/);
});

test('keys that nobody covers, and changes that a part declines, are named together; nothing is prepared', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  scene.file = { a: 2, b: 13, fixed: 2 };
  await t.rejects(scene.reloader.reload(by), {
    code: 'RELOAD_NEEDS_RESTART',
    message:
      'nothing was changed: these keys cannot change while the daemon runs: fixed (it is read at the start only), b (thirteen is for later)',
    details: { keys: ['fixed', 'b'] },
  });
  t.same(scene.done, []);
  await t.rejects(scene.reloader.reload({ ...by, dryRun: true }), { code: 'RELOAD_NEEDS_RESTART' });
  t.equal(await scene.count('refused'), 1, 'a dry run is no reload');
});

test('a dry run tells all and does nothing', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  t.match(await scene.reloader.reload({ ...by, dryRun: true }), { outcome: 'unchanged' });
  scene.file = { a: 2, b: 1, fixed: 1 };
  const dry = await scene.reloader.reload({ ...by, dryRun: true });
  t.match(dry, { outcome: 'planned', changes: [{ key: 'a' }], steps: ['step a1', 'step a2'] });
  t.same(scene.done, []);
  t.match(scene.reloader.running(), { config: START });
});

test('a bad file is told as it is', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  scene.file = new SluiceError('CONFIG_INVALID', 'f.yaml:1:1: a: wrong');
  await t.rejects(scene.reloader.reload(by), { code: 'CONFIG_INVALID' });
  t.equal(await scene.count('refused'), 1);
});

test('one after the other: the second sees what the first has made', async (t) => {
  const scene = new Scene();
  scene.reloader.open();
  let open: () => void = () => {};
  scene.gate = new Promise((resolve) => {
    open = resolve;
  });
  scene.file = { a: 2, b: 1, fixed: 1 };
  const both = Promise.all([scene.reloader.reload(by), scene.reloader.reload(by)]);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(scene.done, [], 'the first is under way');
  open();
  t.match(await both, [{ outcome: 'applied' }, { outcome: 'unchanged' }]);
  t.same(scene.done, ['prepare a1', 'prepare a2', 'commit a1', 'commit a2']);
});

test('while starting, while ending, and without a file there is no reload; the one under way is waited for', async (t) => {
  const scene = new Scene();
  await t.rejects(scene.reloader.reload(by), { code: 'RELOAD_UNAVAILABLE', details: { state: 'starting' } });
  scene.reloader.open();
  scene.file = { a: 2, b: 1, fixed: 1 };
  let open: () => void = () => {};
  scene.gate = new Promise((resolve) => {
    open = resolve;
  });
  const under = scene.reloader.reload(by);
  await new Promise((resolve) => setImmediate(resolve));
  let closed = false;
  const closing = scene.reloader.close().then(() => {
    closed = true;
  });
  const late = t.rejects(scene.reloader.reload(by), { code: 'RELOAD_UNAVAILABLE', details: { state: 'ending' } });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(closed);
  open();
  t.match(await under, { outcome: 'applied' });
  await Promise.all([closing, late]);

  const bare = new Scene(false);
  bare.reloader.open();
  await t.rejects(bare.reloader.reload(by), { code: 'RELOAD_UNAVAILABLE', details: { state: 'without a file' } });
  t.equal(bare.reloader.running().file, null);
});

test('what is covered', async (t) => {
  const covers = ['channels', 'http.listen'];
  for (const key of ['channels', 'channels[news]', 'channels[news].name', 'http.listen', 'http.listen.x'])
    t.ok(isCovered(key, covers), key);
  for (const key of ['http', 'http.listener', 'http.tls', 'channel', 'channelsx']) t.notOk(isCovered(key, covers), key);
});
