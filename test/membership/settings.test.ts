import { test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import {
  admissionOptions,
  familyOptions,
  interfaceOptions,
  keptOf,
  leasesOf,
} from '../../daemon/membership/options.js';
import { parseSettings } from '../../daemon/settings.js';

function problemsOf(text: string): string {
  try {
    parseSettings(text, 'f.yaml');
  } catch (error) {
    if (error instanceof SluiceError) return error.message;
    throw error;
  }
  return '';
}

test('what cannot be is refused by its place', async (t) => {
  const refused: readonly [string, RegExp][] = [
    ['interfaces: [{ name: a, hosts: { igmp: 4 } }]', /interfaces\[0\]\.hosts\.igmp: .*1 to 3/],
    ['interfaces: [{ name: a }, { name: a }]', /interfaces\[1\]\.name: .*expected a name of its own/],
    [
      'interfaces: [{ name: a, subscriber: { id: x } }, { name: b, subscriber: { id: x } }]',
      /interfaces\[1\]\.subscriber\.id: .*expected an id of its own/,
    ],
    [
      'interfaces: [{ name: a, hosts: { query_interval: 5s, query_response: 5s } }]',
      /query_response: .*below query_interval/,
    ],
    [
      'interfaces: [{ name: a, subscriber: { id: x, allow: [{ groups: 10.0.0.0/8 }] } }]',
      /allow\[0\]\.groups: .*expected groups/,
    ],
    [
      'interfaces: [{ name: a, hosts: { static: [{ group: 239.1.1.1, source: "fd00::1" }] } }]',
      /static\[0\].*one family/,
    ],
    ['interfaces: [{ name: a }]\nmembership: { upstream: proxy }', /membership\.proxy_interface: .*upstream: proxy/],
    [
      'interfaces: [{ name: a }]\nmembership: { rendezvous_points: [{ address: 10.0.0.1, groups: "ff3e::/32" }] }',
      /rendezvous_points\[0\].*one family/,
    ],
    ['interfaces: [{ name: a }]\nmembership: { keeper_socket: relative }', /keeper_socket: .*absolute path/],
    ['membership: { prejoin: [{ group: 239.1.1.1 }] }', /membership\.prejoin: .*upstream: pim or proxy/],
    [
      'membership: { upstream: pim, prejoin: [{ group: 239.1.1.1 }, { group: 232.1.1.1 }] }',
      /prejoin\[1\]: .*source beside it: 232\.1\.1\.1/,
    ],
    [
      'membership: { upstream: pim, ssm: [239.1.0.0/16], prejoin: [{ group: 239.1.1.1 }, { group: "ff35::1" }] }',
      /prejoin\[0\]: .*source.*\n.*prejoin\[1\]: .*source/,
    ],
    ['membership: { ask: { url: "ftp://x" } }', /membership\.ask\.url: .*http:\/\/ or https:/],
    ['membership: { ask: { url: "https://user:pass@x/" } }', /membership\.ask\.url: .*without user information/],
    ['membership: { ask: { url: "https://x/", secret: "two words" } }', /ask\.secret: .*without spaces/],
    ['membership: { candidate_bsr: [{ address: 10.0.0.1 }] }', /candidate_bsr: .*upstream: pim/],
    [
      'membership: { upstream: pim, candidate_bsr: [{ address: 10.0.0.1 }, { address: 10.0.0.2 }] }',
      /candidate_bsr: .*one of each family/,
    ],
    [
      'membership: { upstream: pim, candidate_bsr: [{ address: 10.0.0.1, hash_mask_length: 33 }] }',
      /hash_mask_length: .*0 to 32 for IPv4/,
    ],
    [
      'membership: { upstream: pim, candidate_rp: [{ address: 10.0.0.1, groups: ["ff3e::/32"] }] }',
      /candidate_rp\[0\].*one family/,
    ],
    ['membership: { upstream: pim, candidate_rp: [{ address: 10.0.0.1, groups: [] }] }', /groups: .*at least one/],
  ];
  for (const [text, expected] of refused) t.match(problemsOf(text), expected, text);
  t.equal(problemsOf('interfaces: [{ name: eth1, hosts: {} }]'), '');
  t.equal(
    problemsOf(
      'interfaces: [{ name: a }]\nmembership: { upstream: pim, prejoin: [{ group: 232.1.1.1, source: 10.0.0.1 }, { group: "ff1e::1" }] }',
    ),
    '',
  );
});

test('each family is told what is of it', async (t) => {
  const { interfaces, membership } = parseSettings(
    `
interfaces:
  - name: eth1
    hosts: { static: [{ group: 239.1.1.1 }, { group: "ff3e::1", source: "fd00::1" }] }
    subscriber:
      id: flat-1
      allow: [{ groups: 239.0.0.0/8 }]
      authorised: [{ group: 239.1.1.1 }, { group: "ff3e::1", source: "fd00::1" }]
membership:
  families: [ipv4, ipv6]
  upstream: pim
  candidate_bsr: [{ address: 192.0.2.1, priority: 9 }, { address: "fd00::1", interval: 30s }]
  candidate_rp: [{ address: 192.0.2.1, groups: [239.0.0.0/8, 238.0.0.0/8], interval: 10s }]
  rendezvous_points: [{ address: 192.0.2.1, groups: 239.0.0.0/8 }]
  ssm: ["ff3e::/32"]
  prejoin: [{ group: 239.1.1.1, source: 10.0.0.1 }, { group: 239.1.1.1, source: 10.0.0.2 }, { group: 239.2.2.2 }]
`,
    'f.yaml',
  );
  const [config] = interfaces;
  if (config === undefined) throw new Error('no interface');
  t.same(interfaceOptions(config, 4).statics, [{ group: '239.1.1.1', source: null }]);
  t.same(interfaceOptions(config, 6).statics, [{ group: 'ff3e::1', source: 'fd00::1' }]);
  t.equal(interfaceOptions(config, 4).querier?.version, 3);
  t.equal(interfaceOptions(config, 6).querier?.version, 2);
  t.same(admissionOptions(config, 4).ranges, [{ groups: '239.0.0.0/8', sources: null }]);
  t.same(admissionOptions(config, 6).ranges, [{ groups: '::/128', sources: null }], 'nothing of IPv6 is allowed');
  t.same(leasesOf(config, 6), [{ group: 'ff3e::1', source: 'fd00::1', leaseMs: null }]);
  t.equal(admissionOptions({ ...config, subscriber: null }, 4).open, true);
  t.same(familyOptions(membership, 4)?.rps, [{ address: '192.0.2.1', groups: '239.0.0.0/8' }]);
  t.same(familyOptions(membership, 6)?.rps, []);
  t.same(familyOptions(membership, 6)?.sourceSpecific, ['ff3e::/32']);
  t.same(familyOptions(membership, 4)?.candidateBsr, {
    address: '192.0.2.1',
    priority: 9,
    hashMaskBits: 30,
    intervalMs: 60_000,
  });
  t.match(familyOptions(membership, 6)?.candidateBsr, { address: 'fd00::1', hashMaskBits: 126, intervalMs: 30_000 });
  t.same(familyOptions(membership, 4)?.candidateRp, {
    address: '192.0.2.1',
    priority: 192,
    groups: ['239.0.0.0/8', '238.0.0.0/8'],
    intervalMs: 10_000,
  });
  t.equal(familyOptions(membership, 6)?.candidateRp, null);
  t.equal(familyOptions({ ...membership, families: ['ipv4'] }, 6), null);
  t.same(
    [...keptOf(membership.prejoin)],
    [
      ['239.1.1.1', { excludes: false, sources: ['10.0.0.1', '10.0.0.2'] }],
      ['239.2.2.2', { excludes: true, sources: [] }],
    ],
  );
});
