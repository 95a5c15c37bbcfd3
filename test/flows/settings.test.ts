import t from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { formatCodePoint } from '../../daemon/flows/code-point.js';
import { parseSettings } from '../../daemon/settings.js';

type Flow = ReturnType<typeof parseSettings>['flows'][number];

const load = (flows: unknown, more: object = {}): readonly Flow[] =>
  parseSettings(JSON.stringify({ ...more, flows }), 'f.yaml').flows;

function problemsOf(flows: unknown, more: object = {}): string[] {
  try {
    load(flows, more);
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return error.message.split('\n');
  }
}

const flow = (more: object, id = 'a'): object => ({ id, input: 'rtp://239.1.1.1:5004', ...more });
const to = (place: string, more: object = {}): object => ({ receivers: [{ id: 'r', to: place, ...more }] });

t.test('the least, with defaults', async (t) => {
  t.match(load([flow(to('192.0.2.7:6000'))]), [
    {
      id: 'a',
      input: { media: 'rtp', address: '239.1.1.1', port: 5004 },
      clock_rate: 90_000,
      history: 0,
      batch_wait: 0,
      priority: 4,
      smoothing: null,
      rtcp: 'off',
      batching: 'auto',
      receivers: [
        {
          id: 'r',
          to: { address: '192.0.2.7', port: 6000 },
          from: undefined,
          dscp: 34,
          gate: 'open',
          sequence_offset: 0,
          timestamp_offset: 0,
        },
      ],
    },
  ]);
});

t.test('all that an operator may write', async (t) => {
  const text = `
flows:
  - id: studio-a
    input: rtp://[ff35::8000:1]:5004
    source: 2001:db8::5
    interface: eth0
    ssrc: 0x1234
    clock_rate: 8000
    history: 1.5MiB
    batch_wait: 1.5ms
    priority: 7
    smoothing: { threshold: 50%, max_delay: 1s }
    rtcp: port
    batching: sendmmsg
    receive_buffer: 64MiB
    loop: 1
    receivers:
      - id: box-1
        to: "[2001:db8::7]:6000"
        from: "[2001:db8::1]:6000"
        dscp: EF
        ssrc: 0xffffffff
        payload_type: 96
        sequence_offset: -1
        timestamp_offset: 4294967295
        gate: closed
        rtcp_port: 7000
      - { id: group, to: 239.2.2.2:6000, from: 192.0.2.1, interface: eth1, ttl: 3, dscp: 46 }
`;
  t.match(parseSettings(text, 'f.yaml').flows, [
    {
      input: { address: 'ff35::8000:1' },
      source: { address: '2001:db8::5', port: 0 },
      ssrc: 0x1234,
      history: 2 * 2 ** 20,
      batch_wait: 1500,
      smoothing: { threshold: 50, max_delay: 1000 },
      receivers: [
        {
          to: { address: '2001:db8::7', port: 6000 },
          from: { address: '2001:db8::1', port: 6000 },
          dscp: 46,
          ssrc: 0xffff_ffff,
          sequence_offset: 65_535,
          timestamp_offset: 0xffff_ffff,
        },
        { from: { address: '192.0.2.1', port: 0 }, interface: 'eth1', ttl: 3 },
      ],
    },
  ]);
  t.match(load([flow({ smoothing: {} })])[0], { smoothing: { threshold: 20, max_delay: 200 } });
  t.match(load([flow({ history: '1B' })])[0], { history: 65_536 });
});

t.test('code points by name', async (t) => {
  const dscp = (value: unknown): unknown => load([flow(to('192.0.2.7:6000', { dscp: value }))])[0]?.receivers[0]?.dscp;
  for (const [name, value] of [
    ['EF', 46],
    ['AF41', 34],
    ['AF11', 10],
    ['CS5', 40],
    ['cs0', 0],
    ['LE', 1],
    [63, 63],
  ] as const)
    t.equal(dscp(name), value, String(name));
  t.equal(formatCodePoint(46), 'EF');
  t.equal(formatCodePoint(63), '63');
  for (const bad of ['AF44', 64, -1, 1.5, 'toString'])
    t.match(problemsOf([flow(to('192.0.2.7:6000', { dscp: bad }))]), [/dscp: .*expected a code point/], String(bad));
});

t.test('what is wrong is told with its place', async (t) => {
  const wrong: [unknown, RegExp][] = [
    [flow({ input: 'rtp://studio.example:5004' }), /flows\[0\]\.input: .*numeric address/],
    [flow({ input: 'http://192.0.2.1:80' }), /flows\[0\]\.input: /],
    [flow({ input: 'rtp://239.1.1.1:0' }), /flows\[0\]\.input: /],
    [{ id: 'a' }, /flows\[0\]\.input: .*exactly one/],
    [flow({ source: '2001:db8::1' }), /flows\[0\]\.source: .*same address family/],
    [flow({ input: 'rtp://0.0.0.0:5004', interface: 'eth0' }), /flows\[0\]\.interface: .*join of a group/],
    [flow({ input: 'udp://0.0.0.0:5004', ssrc: 1 }), /flows\[0\]\.ssrc: .*handed on as it is/],
    [flow({ input: 'udp://0.0.0.0:5004', rtcp: 'mux' }), /flows\[0\]\.rtcp: .*handed on/],
    [
      flow({ input: 'udp://0.0.0.0:5004', ...to('192.0.2.7:6000', { payload_type: 8 }) }),
      /receivers\[0\]\.payload_type: .*handed on/,
    ],
    [flow({ input: 'rtp://0.0.0.0:5005', rtcp: 'port' }), /flows\[0\]\.input: .*even port/],
    [flow({ rtcp: 'port', ...to('192.0.2.7:6001') }), /receivers\[0\]\.to: .*even port/],
    [flow({ batch_wait: '3ms' }), /batch_wait: .*0us to 2000us/],
    [flow({ smoothing: 'on' }), /smoothing: .*expected off/],
    [flow({ smoothing: { threshold: '0%' } }), /smoothing.threshold: .*1% to 1000%/],
    [flow(to('192.0.2.7')), /receivers\[0\]\.to: .*ADDRESS:PORT/],
    [flow(to('0.0.0.0:5000')), /receivers\[0\]\.to: /],
    [flow(to('[::]:5000')), /receivers\[0\]\.to: /],
    [flow(to('192.0.2.7:6000', { from: '2001:db8::1' })), /receivers\[0\]\.from: .*same family/],
    [flow(to('192.0.2.7:6000', { interface: 'eth0' })), /receivers\[0\]\.interface: .*the route decides/],
    [flow(to('192.0.2.7:6000', { gate: 'ajar' })), /receivers\[0\]\.gate: .*open or closed/],
    [flow({ clockrate: 8000 }), /clockrate: unknown key, did you mean clock_rate\?/],
  ];
  for (const [one, expected] of wrong) {
    const found = problemsOf([one]);
    t.equal(found.length, 1, `${String(expected)} in ${found.join(' | ')}`);
    t.match(found[0], expected);
    t.match(found[0], /^f\.yaml:\d+:\d+: /);
  }
  t.same(problemsOf([flow({ input: 'rtp://0.0.0.0:5005', rtcp: 'mux' })]), [], 'muxed RTCP needs no even port');
});

t.test('what flows cannot have at the same time', async (t) => {
  const receivers = (...places: string[]): object => ({ receivers: places.map((to, at) => ({ id: `r${at}`, to })) });
  const conflicts: [string, object[], RegExp][] = [
    ['an id twice', [flow({}), flow({ input: 'rtp://239.1.1.2:5004' })], /flows\[1\]\.id: .*no other flow/],
    ['the same packets', [flow({}), flow({}, 'b')], /flows\[1\]\.input: .*other packets than flow a/],
    [
      'the same packets, written otherwise',
      [flow({ input: 'rtp://[FF15::1]:5004' }), flow({ input: 'udp://[ff15::1]:5004' }, 'b')],
      /flows\[1\]\.input/,
    ],
    [
      'a receiver id twice',
      [{ ...flow({}), receivers: [1, 2].map((n) => ({ id: 'r', to: `192.0.2.${n}:6000` })) }],
      /receivers\[1\]\.id: .*no other receiver/,
    ],
    ['a destination twice', [flow(receivers('192.0.2.7:6000', '192.0.2.7:6000'))], /receivers\[1\]\.to: .*r0 of this/],
    [
      'media on the RTCP port of another',
      [flow({ rtcp: 'port' }), flow({ input: 'rtp://239.1.1.1:5005' }, 'b')],
      /flows\[1\]\.input: .*for the RTCP of flow a/,
    ],
    ['its own input', [flow(receivers('239.1.1.1:5004'))], /receivers\[0\]\.to: .*lead back to the input of flow a: /],
    [
      'its own wildcard input',
      [flow({ input: 'rtp://0.0.0.0:5004', ...receivers('127.0.0.1:5004') })],
      /receivers\[0\]\.to: .*lead back/,
    ],
    [
      'one socket in two manners',
      [
        {
          ...flow({}),
          receivers: [
            { id: 'r', to: '192.0.2.7:6000', from: '192.0.2.1:6000' },
            { id: 's', to: '239.9.9.9:6000', from: '192.0.2.1:6000' },
          ],
        },
      ],
      /receivers\[1\]\.from: .*ttl .*a\/r/,
    ],
  ];
  for (const [what, flows, expected] of conflicts) t.match(problemsOf(flows), [expected], what);
  const cycle = [
    flow({ input: 'rtp://127.0.0.1:5000', ...receivers('127.0.0.1:5002') }),
    flow({ input: 'rtp://127.0.0.1:5002', ...receivers('192.0.2.1:6000', '127.0.0.1:5000') }, 'b'),
  ];
  t.match(
    problemsOf(cycle),
    [/flows\[0\].*by way of b/, /flows\[1\]\.receivers\[1\]\.to: .*by way of a/],
    'by way of others',
  );
});

t.test('what looks like a conflict and is none', async (t) => {
  const fine: [string, object[]][] = [
    ['told apart by SSRC', [flow({ ssrc: 1 }), flow({ ssrc: 2 }, 'b'), flow({}, 'c')]],
    ['told apart by sender', [flow({ source: '10.0.0.1' }), flow({ source: '10.0.0.2' }, 'b')]],
    [
      'told apart by the port of the sender',
      [
        flow({ input: 'rtp://0.0.0.0:5004', source: '10.0.0.1:1' }),
        flow({ input: 'rtp://0.0.0.0:5004', source: '10.0.0.1:2' }, 'b'),
      ],
    ],
    ['one group by two interfaces', [flow({ interface: 'eth0' }), flow({ interface: 'eth1' }, 'b')]],
    [
      'in by one interface, out by another',
      [flow({ interface: 'eth0', ...to('239.1.1.1:5004', { interface: 'eth1' }) })],
    ],
    [
      'one after the other',
      [
        flow({ input: 'rtp://127.0.0.1:5000', ...to('127.0.0.1:5002') }),
        flow({ input: 'rtp://127.0.0.1:5002', ...to('192.0.2.7:5000') }, 'b'),
      ],
    ],
    ['one destination of two flows', [flow(to('192.0.2.7:6000')), flow({ ssrc: 1, ...to('192.0.2.7:6000') }, 'b')]],
  ];
  for (const [what, flows] of fine) t.same(problemsOf(flows), [], what);
});

t.test('the RTP of a channel', async (t) => {
  const channels = [{ id: 'news', renditions: [{ id: 'high', url: 'http://x.example/y.ts' }] }];
  t.same(problemsOf([{ id: 'a', channel: 'news/high', ...to('192.0.2.7:6000') }], { channels }), []);
  t.match(problemsOf([{ id: 'a', channel: 'news/low' }], { channels }), [
    /flows\[0\]\.channel: there is no such rendition \(expected one of news\/high, got news\/low\)/,
  ]);
  t.match(problemsOf([{ id: 'a', channel: 'news' }], { channels }), [/expected CHANNEL\/RENDITION/, /no such/]);
  t.match(problemsOf([{ id: 'a', channel: 'news/high', loop: 1 }], { channels }), [/flows\[0\]\.loop: .*its stream's/]);
  t.match(problemsOf([flow({ channel: 'news/high' })], { channels }), [/exactly one of them/]);
});

t.test('flows alone are something to do; nothing at all is not', async (t) => {
  t.equal(load([flow({})]).length, 1);
  t.match(problemsOf([]), [/channels: expected at least one channel, site, flow or interface/]);
});
