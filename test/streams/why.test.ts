import t from 'tap';
import { SENDER_COUNTERS, type SenderCounters } from '../../daemon/plane/contract.js';
import { sentRepairStatus } from '../../daemon/streams/repair-status.js';
import type { RenditionStatus, RepairChoiceStatus } from '../../daemon/streams/status.js';
import { explainRendition, whySentences } from '../../daemon/streams/why.js';

const SENDER = Object.fromEntries(SENDER_COUNTERS.map((name) => [name, 0])) as SenderCounters;

const GOOD: RenditionStatus = {
  id: 'high',
  stream: 'news/high',
  state: 'flowing',
  code: null,
  reason: null,
  since: 0,
  ready: true,
  loop: 0,
  bitrate: 1_000_000,
  source: {
    url: 'http://o/x.m3u8',
    kind: 'hls',
    connections: 1,
    connects: 1,
    requests: { playlist: 3, segment: 3, key: 0, stream: 0 },
    retries: 0,
    segmentsSkipped: 0,
  },
  input: {
    bytes: 1,
    packets: 1,
    bitsPerSecond: 1,
    syncErrors: 0,
    continuityErrors: 0,
    transportErrors: 0,
    discontinuities: 0,
    lastInputAgeMs: 100,
  },
  repair: null,
  ring: { usedBytes: 1, sizeBytes: 1, bufferLevelMs: 1, underruns: 0, fullDrops: 0, clockPpm: 0 },
  smoothing: {
    thresholdPercent: 20,
    maxDelayMs: 200,
    active: false,
    meanRate: 1_000_000,
    variationPercent: 12,
    peakRate: 1_100_000,
    outputPeakRate: 1_100_000,
    delayMs: 0,
    delayMaxMs: 0,
  },
  multicast: {
    url: 'rtp://239.1.1.1:5000',
    interface: 'lo',
    packets: 9,
    bytes: 9,
    bitsPerSecond: 9,
    drops: 0,
    errors: 0,
    segmentation: true,
    repair: null,
    fault: null,
  },
  viewers: { continuous: 0, hls: 0, bytes: 0, bitsPerSecond: 0, drops: 0, dropBytes: 0 },
  urls: { hls: 'http://e/live/news/high/index.m3u8', ts: 'http://e/live/news/high.ts', sdp: null },
};

t.test('the first step that does not work is the cause', async (t) => {
  const multicast = GOOD.multicast as NonNullable<RenditionStatus['multicast']>;
  const cases: [string, Partial<RenditionStatus>, number, string | null, RegExp][] = [
    ['all well', {}, 5, null, /media arrives/],
    [
      'refused',
      { state: 'retrying', code: 'UPSTREAM_CONNECT', reason: 'refused' },
      5,
      'source',
      /retrying, http:\/\/o\/x\.m3u8: UPSTREAM_CONNECT: refused \(1 connections/,
    ],
    [
      'starting',
      { state: 'starting', input: { ...GOOD.input, lastInputAgeMs: null } },
      0,
      'source',
      /nothing has come yet/,
    ],
    ['silent', { input: { ...GOOD.input, lastInputAgeMs: 60_000 } }, 5, 'input', /the last 60\.0 s ago/],
    ['no access point', { ready: false }, 0, 'ring', /no random access point yet/],
    ['no ring', { ring: { ...GOOD.ring, sizeBytes: 0 } }, 0, 'ring', /could not be set up/],
    ['full', { ring: { ...GOOD.ring, fullDrops: 3 } }, 5, 'ring', /3 packets found no room/],
    [
      'no interface',
      { multicast: { ...multicast, fault: 'INTERFACE_UNKNOWN: eth9' } },
      5,
      'multicast',
      /INTERFACE_UNKNOWN: eth9/,
    ],
    ['nothing sent', { multicast: { ...multicast, bitsPerSecond: 0 } }, 5, 'multicast', /nothing leaves now/],
  ];
  for (const [name, change, accessPoints, step, says] of cases) {
    const status = { ...GOOD, ...change };
    const steps = explainRendition(status, accessPoints, 3);
    const cause = steps.find(({ ok }) => !ok);
    t.equal(cause?.step ?? null, step, name);
    t.match((cause ?? steps[0])?.says, says, name);
    const sentences = whySentences({
      channel: 'news',
      state: 'down',
      renditions: [{ rendition: 'high', state: status.state, steps }],
    });
    t.match(sentences[1], step === null ? /every step works/ : new RegExp(`the cause is at the ${step}`));
    t.equal(sentences.length, 2 + steps.length);
  }
  const paced = { ...GOOD.smoothing, active: true, variationPercent: 85, peakRate: 3.4e6, outputPeakRate: 1.9e6 };
  const step = explainRendition({ ...GOOD, smoothing: { ...paced, delayMs: 120.4 } }, 5, 3)[3];
  t.match(step, {
    step: 'smoothing',
    ok: true,
    says: 'the rate varies by 85 % (over 20 %): peaks of 3.4 leave as 1.9 Mbit/s, delayed by up to 120 of 200 ms',
  });
  t.equal(explainRendition({ ...GOOD, multicast: null }, 5, 3).length, 4, 'no multicast step without a sender');
});

t.test('what the repair policy has chosen is told with its reasons', async (t) => {
  const chosen = {
    means: 'block',
    says: 'blocks of 50 + 6',
    since: 0,
    meets: true,
    receivers: 120,
    loss: 0.0042,
    tailLoss: 0.012,
    meanRun: 2.25,
    roundTripMs: 41,
    expectedResidual: 2e-7,
    expectedOverhead: 0.1234,
    delayMs: 70,
  } as const;
  const steps = (values: Partial<RepairChoiceStatus>): ReturnType<typeof explainRendition> => {
    const repair = sentRepairStatus(SENDER, { rangePackets: 0, rangeBytes: 0 }, { ...chosen, ...values });
    return explainRendition({ ...GOOD, multicast: GOOD.multicast && { ...GOOD.multicast, repair } }, 1, 1);
  };
  const step = steps({}).find((one) => one.step === 'repair');
  t.match(step, { ok: true, says: /^blocks of 50 \+ 6: 120 receivers miss 0\.42 %/ });
  t.match(step?.says, 'at most 1.2 % in runs of 2.3, round trip 41.0 ms');
  t.match(step?.says, 'to stay lost 0.00002 %, to add 12 %');
  const bad = steps({ meets: false, roundTripMs: null, meanRun: null }).find((one) => one.step === 'repair');
  t.match(bad, { ok: false, says: /no round trip measured.*nothing keeps the limits$/ });
});
