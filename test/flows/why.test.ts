import t from 'tap';
import type { FlowStatus, ReceiverStatus } from '../../daemon/flows/status.js';
import { explainFlow } from '../../daemon/flows/why.js';
import { FLOW_COUNTERS, type FlowCounters, PORT_COUNTERS, type PortCounters } from '../../daemon/plane/contract.js';

const zeros = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, 0]));
const counters = (more: Partial<FlowCounters> = {}): FlowCounters => ({
  ...(zeros(FLOW_COUNTERS) as FlowCounters),
  packetsIn: 500,
  packetsOut: 1000,
  receivers: 2,
  receiversOpen: 2,
  ssrc: 0x1234,
  jitterUs: 1500,
  ...more,
});
const port = (more: Partial<PortCounters> = {}): PortCounters => ({
  ...(zeros(PORT_COUNTERS) as PortCounters),
  packets: 500,
  ...more,
});

const GOOD: FlowStatus = {
  id: 'studio-a',
  origin: 'file',
  state: 'flowing',
  code: null,
  reason: null,
  input: 'rtp://239.1.1.1:5004',
  source: null,
  interface: 'eth0',
  ssrc: null,
  rtcp: 'off',
  priority: 4,
  loop: 1,
  receivers: 2,
  receiversOpen: 2,
  receiversFailed: 0,
  rates: { packetsIn: 50, packetsOut: 100, bitsIn: 1, bitsOut: 2 },
  lastInputAgeMs: 100,
  counters: counters(),
  port: port(),
};

const receiver = (id: string, more: Partial<ReceiverStatus> = {}): ReceiverStatus => ({
  id,
  flow: 'studio-a',
  origin: 'file',
  to: '192.0.2.7:6000',
  gate: 'open',
  source: 'studio-a',
  dscp: 'AF41',
  code: null,
  reason: null,
  packets: 500,
  bytes: 1,
  errors: 0,
  switches: 0,
  sequence: 1,
  report: null,
  ...more,
});

const report = (fractionLost: number): Partial<ReceiverStatus> => ({
  report: { fractionLost, lost: 1, jitterMs: 2, roundTripMs: null, ageMs: 1 },
});

t.test('the first step that does not work is the cause, with the evidence', async (t) => {
  const silent = { state: 'silent', lastInputAgeMs: null } as const;
  const cases: [string, Partial<FlowStatus>, Partial<ReceiverStatus>, string, RegExp][] = [
    [
      'all well',
      {},
      {},
      'every step works',
      /input: ok: 500 packets, the last 0.1 s ago, 50 a second, SSRC 0x00001234/,
    ],
    [
      'not set up',
      { state: 'failed', code: 'ADDRESS_IN_USE', reason: 'port 5004 is taken' },
      {},
      'setup',
      /BROKEN: rtp:\/\/239.1.1.1:5004: ADDRESS_IN_USE: port 5004 is taken; it is tried again/,
    ],
    [
      'nobody sends',
      { ...silent, source: '10.0.0.5', counters: counters({ packetsIn: 0 }), port: port({ packets: 0 }) },
      {},
      'port',
      /BROKEN: nothing has arrived at rtp:\/\/239.1.1.1:5004 from 10.0.0.5 by eth0/,
    ],
    [
      'somebody else sends',
      { ...silent, counters: counters({ packetsIn: 0 }), port: port({ packets: 90, unmatched: 90 }) },
      {},
      'port',
      /90 packets at the port, 90 of them asked for by no flow.*another sender or SSRC/,
    ],
    ['the kernel drops', { port: port({ kernelDrops: 7 }) }, {}, 'port', /7 dropped by the kernel.*receive_buffer/],
    [
      'others on its port get theirs',
      { ...silent, ssrc: 5, counters: counters({ packetsIn: 0 }) },
      {},
      'port',
      /input: BROKEN: no packet yet of SSRC 0x00000005/,
    ],
    [
      'it stopped',
      { state: 'silent', lastInputAgeMs: 9000, rates: { packetsIn: 0, packetsOut: 0, bitsIn: 0, bitsOut: 0 } },
      {},
      'input',
      /BROKEN: 500 packets, the last 9.0 s ago, 0 a second/,
    ],
    [
      'overload',
      { counters: counters({ shedLate: 3, shedPriority: 4 }) },
      {},
      'overload',
      /3 packets were shed because they had waited too long, 4 because .* priority than 4/,
    ],
    ['no receivers', { receivers: 0, receiversOpen: 0, counters: counters({ receivers: 0 }) }, {}, 'receivers', /none/],
    [
      'every gate is closed',
      { receiversOpen: 0, counters: counters({ receiversOpen: 0 }) },
      { gate: 'closed' },
      'receivers',
      /0 of 2 open.*: every gate is closed/,
    ],
    [
      'they listen elsewhere',
      { receiversOpen: 2, counters: counters({ receivers: 0, receiversOpen: 0 }) },
      { source: 'studio-b' },
      'receivers',
      /no gate is open here, 2 listen to other flows/,
    ],
    [
      'one cannot be set up',
      { receiversFailed: 2 },
      { code: 'ADDRESS_INVALID', reason: 'no such address' },
      'receivers',
      /2 could not be set up, box-1 for ADDRESS_INVALID: no such address/,
    ],
    [
      'no route',
      { counters: counters({ sendErrors: 9 }) },
      {},
      'receivers',
      /9 refused by the kernel: is there a route/,
    ],
    ['they report loss', {}, report(0.25), 'reports', /2 of 2 report; 2 lose more than 1 %, most of all box-1: 25.0 %/],
    ['they report none', {}, report(0), 'every step works', /reports: ok: 2 of 2 report; 0 lose/],
  ];
  for (const [what, flow, one, cause, evidence] of cases) {
    const sentences = explainFlow({ ...GOOD, ...flow }, [receiver('box-1', one), receiver('box-2', one)]);
    t.match(sentences[0], new RegExp(`^flow studio-a is ${flow.state ?? 'flowing'}: .*${cause}$`), what);
    t.match(sentences.join('\n'), evidence, what);
  }
});

t.test('a flow of a channel has no port', async (t) => {
  const sentences = explainFlow({ ...GOOD, input: 'news/high', interface: null, port: null }, []);
  t.notMatch(sentences.join('\n'), /port:/);
});
