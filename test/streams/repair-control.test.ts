// A sender whose parity follows its receiver's losses: over loopback, with a path that loses, and questions that are late.
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/base/clock.js';
import { createLogger } from '../../daemon/base/log.js';
import type { PlaneApi, ReceiverHandle, StreamHandle } from '../../daemon/plane/contract.js';
import { createPlane } from '../../daemon/plane/plane.js';
import { MulticastSender } from '../../daemon/streams/sender.js';
import { channelsSchema, type MulticastConfig } from '../../daemon/streams/settings.js';
import { INPUT, STREAM } from '../plane/options.js';
import { bound, freePorts, HOST, lossyPath } from '../plane/repair-scene.js';
import { rtpPackets } from '../receive/rtp-sender.js';
import { FRAME_RATE, TsMaker } from './ts-maker.js';

const GROUP = '239.1.1.1';
/** What each question takes longer than its answer. */
const LATE_MS = 200;
/** One of so many packets is lost. */
const EVERY = 50;

/** `multicast:` as configured, but sent to a port of this host. */
function configured(port: number, server: number): MulticastConfig {
  const multicast = {
    address: GROUP,
    port,
    retransmission: { address: HOST, port: server, allow: ['127.0.0.0/8'], share: '1000%' },
    // Within this time parity comes, and no answer to a question.
    repair_policy: { playout: '190ms', residual: 0.0001, worse_after: '0ms', better_after: '1s' },
  };
  const renditions = [{ id: 'main', url: 'udp://239.9.9.9:9000', multicast }];
  const parsed = channelsSchema.parse([{ id: 'news', renditions }])[0]?.renditions[0]?.multicast;
  if (parsed === undefined) throw new Error('no multicast');
  return { ...parsed, address: HOST };
}

/** Hands questions on after {@link LATE_MS}, and answers at once. */
async function latePath(t: Test, server: number): Promise<number> {
  const [asked, answering] = [await bound(t), await bound(t)];
  let asker = 0;
  asked.on('message', (bytes, from) => {
    asker = from.port;
    setTimeout(() => answering.send(bytes, server, HOST), LATE_MS).unref();
  });
  answering.on('message', (bytes) => asked.send(bytes, asker, HOST));
  return asked.address().port;
}

/** Pictures as they would be broadcast, from now to the end of the test. */
async function broadcast(t: Test, port: number): Promise<void> {
  const socket = await bound(t);
  const ts = new TsMaker(1, 8000);
  const began = systemClock.now();
  let [frame, sequence] = [0, 1];
  const timer = setInterval(() => {
    for (const due = ((systemClock.now() - began) / 1000) * FRAME_RATE; frame < due; frame++) {
      for (const packet of rtpPackets(ts.frames(frame, frame + 1), 1, sequence)) {
        sequence++;
        socket.send(packet, port, HOST);
      }
    }
  }, 10);
  t.teardown(() => clearInterval(timer));
}

interface Scene {
  readonly plane: PlaneApi;
  readonly sender: MulticastSender;
  readonly receiver: ReceiverHandle;
  readonly lines: string[];
}

async function scene(t: Test, loses: () => boolean): Promise<Scene> {
  const plane = createPlane({ memoryBytes: 2 ** 24 });
  t.teardown(() => plane.close());
  const [source, path, ear] = [await freePorts(), await freePorts(), await freePorts()];
  await lossyPath(t, path, ear, (step, n) => step === 0 && n % EVERY === 7 && loses());
  const stream: StreamHandle = plane.addStream(STREAM);
  plane.addInput(stream, { ...INPUT, port: source });
  const lines: string[] = [];
  const log = createLogger({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const sender = new MulticastSender(plane, systemClock, log, stream, configured(path, path + 8), 'a@b');
  sender.open();
  t.teardown(() => sender.stop());
  const receiver = plane.addReceiver({
    ...INPUT,
    port: ear,
    repair: {
      fec: true,
      feedback: { address: HOST, port: await latePath(t, path + 8) },
      tokens: false,
      playoutMs: 1200,
      leastPlayoutMs: 0,
      ditherMs: 0,
    },
    outputFd: null,
    recording: null,
  });
  await broadcast(t, source);
  return { plane, sender, receiver, lines };
}

t.test('parity comes when losses begin, goes when they end, and nothing is lost', { timeout: 120_000 }, async (t) => {
  let losing = false;
  const { plane, sender, receiver, lines } = await scene(t, () => losing);
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      sender.check();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const received = (): ReturnType<PlaneApi['inputCounters']> => plane.inputCounters(receiver);
  await until(() => sender.chosen?.receivers === 1);
  t.match(sender.chosen, { means: 'nothing', receivers: 1, loss: 0, meets: true, since: null });
  t.equal(sender.counters().parityBlocks, 0);

  losing = true;
  await until(() => sender.counters().parityBlocks > 0);
  t.match(sender.chosen, { means: 'block', says: /^blocks of 20 \+ / });
  t.ok((sender.chosen?.roundTripMs ?? 0) >= LATE_MS, `${sender.chosen?.roundTripMs} ms`);
  const asked = received().nacked;
  t.ok(asked > 0, 'until then by asking');
  await until(() => received().byBlock > 3);
  t.equal(sender.chosen?.meanRun, 1);

  losing = false;
  await until(() => sender.chosen?.means === 'nothing');
  const sent = sender.counters();
  await until(() => sender.counters().packets > sent.packets + 100);
  t.equal(sender.counters().parityBlocks, sent.parityBlocks);
  t.match(received(), { rtpLost: 0, continuityErrors: 0, damaged: 0 });
  t.ok(received().byRetransmission > 0);
  t.match(sender.counters(), { parityErrors: 0, feedbackMalformed: 0, resendShed: 0 });
  const changes = lines.filter((line) => line.includes('repair changes'));
  t.ok(changes.length >= 2 && changes.length <= 6, `${changes.length} changes`);
});
