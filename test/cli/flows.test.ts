// Flows as an operator at a terminal sees and moves them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { freePort, Peer, Talker } from '../flows/udp.js';
import { until } from '../streams/edge.js';
import { Program, sluice, temporaryFolder } from './lib/program.js';

async function running(t: Test, flows: readonly object[]): Promise<string> {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'admin.sock');
  const settings = { admin: { listen: '127.0.0.1:0', socket }, http: { listen: ['127.0.0.1:0'] }, flows };
  writeFileSync(join(folder, 'run.yaml'), JSON.stringify(settings));
  const program = new Program(t, ['run', '-c', join(folder, 'run.yaml')]);
  await program.said(/"msg":"daemon is up"/, 20_000);
  return socket;
}

test('show, why and gate against a daemon of flows alone', { timeout: 120_000 }, async (t) => {
  const [ear, port] = [await Peer.open(t), await freePort()];
  const receivers = [{ id: 'ear', to: ear.place, ssrc: 7 }];
  const socket = await running(t, [{ id: 'a', input: `rtp://127.0.0.1:${port}`, receivers }]);
  const ask = (...args: string[]): ReturnType<typeof sluice> => sluice(t, ...args, '--admin', socket);
  const talker = new Talker(await Peer.open(t), { port }, 'a', { ssrc: 1 });

  t.match(await ask('why', 'flow', 'a'), {
    code: 0,
    stdout: /the cause is at the port\n.*\n.*nothing has arrived at rtp:/,
  });
  await talker.say(3);
  await until('the first packets', () => ear.heard.length === 3);
  const flows = await ask('show', 'flows');
  t.match(flows.stdout, /^FLOW +STATE +INPUT +OPEN .*\na +\w+ +rtp:\/\/127\.0\.0\.1:\d+ +1\/1 /);
  const table = JSON.parse((await ask('show', 'receivers', 'a', '--json')).stdout);
  t.match(table, {
    noun: 'receivers',
    rows: [{ receiver: 'a/ear', gate: 'open', source: 'a', packets: 3, dscp: 'AF41' }],
  });
  t.match(await ask('show', 'receivers', 'nobody'), { code: 1, stderr: /NOT_FOUND: there is no flow nobody/ });
  t.match(await ask('show', 'flows', 'a'), { code: 2, stderr: /USAGE: show: flows takes no id/ });

  t.match(await ask('gate', 'a/ear', 'closed'), { code: 0, stdout: 'a/ear is closed\n' });
  await talker.say(3);
  t.match((await ask('why', 'flow', 'a')).stdout, /receivers: BROKEN: 0 of 1 open.*every gate is closed/);
  t.match(await ask('gate', 'a/ear', 'open', '--prebuffer', '500ms', '--json'), { code: 0, stdout: '{"changed":1}\n' });
  await talker.say(3);
  await until('what comes again', () => ear.heard.length === 6);
  t.same(ear.texts(), ['a 0', 'a 1', 'a 2', 'a 6', 'a 7', 'a 8']);
  t.match(await ask('gate', 'a/nobody', 'open'), { code: 1, stderr: /NOT_FOUND: there is no receiver a\/nobody/ });
  t.match(await ask('gate', 'a/ear', 'open', '--source', 'b'), { code: 1, stderr: /NOT_FOUND: there is no flow b/ });
  t.match(await ask('gate', 'a/ear', 'open', '--prebuffer', '5'), { code: 2, stderr: /expected a duration/ });
});
