// The list of what viewers may ask for, as an operator writes it.
import { test } from 'tap';
import { SluiceError } from '../../daemon/base/errors.js';
import { parseRelayRule } from '../../daemon/plane/relay-settings.js';
import { parseSettings } from '../../daemon/settings.js';

const ALL = { source: null, firstPort: 1, lastPort: 65_535 };

test('lines of the list', async (t) => {
  const good: readonly [string, object][] = [
    ['239.0.0.0/8', { ...ALL, address: '239.0.0.0/8' }],
    ['224.0.0.0/4', { ...ALL, address: '224.0.0.0/4' }],
    ['239.1.1.1', { ...ALL, address: '239.1.1.1' }],
    ['239.1.1.1:5000', { source: null, address: '239.1.1.1', firstPort: 5000, lastPort: 5000 }],
    ['239.1.1.0/24:5000-5999', { source: null, address: '239.1.1.0/24', firstPort: 5000, lastPort: 5999 }],
    ['ff3e::/32', { ...ALL, address: 'ff3e::/32' }],
    ['[ff3e::/32]', { ...ALL, address: 'ff3e::/32' }],
    ['ff00::/8', { ...ALL, address: 'ff00::/8' }],
    ['[ff3e::1]:5000', { source: null, address: 'ff3e::1', firstPort: 5000, lastPort: 5000 }],
    ['[ff3e::/32]:1-65535', { ...ALL, address: 'ff3e::/32' }],
    ['10.1.2.3@232.0.0.0/8', { ...ALL, source: '10.1.2.3', address: '232.0.0.0/8' }],
    [
      '10.1.0.0/16@232.0.0.0/8:5000',
      { source: '10.1.0.0/16', address: '232.0.0.0/8', firstPort: 5000, lastPort: 5000 },
    ],
    ['2001:db8::7@ff3e::/32', { ...ALL, source: '2001:db8::7', address: 'ff3e::/32' }],
    ['[2001:db8::7]@[ff3e::1]:5000', { source: '2001:db8::7', address: 'ff3e::1', firstPort: 5000, lastPort: 5000 }],
    ['192.0.2.7:5000', { source: null, address: '192.0.2.7', firstPort: 5000, lastPort: 5000 }],
    ['127.0.0.1:5000-5001', { source: null, address: '127.0.0.1', firstPort: 5000, lastPort: 5001 }],
    ['[::1]:5000', { source: null, address: '::1', firstPort: 5000, lastPort: 5000 }],
  ];
  for (const [text, rule] of good) t.same(parseRelayRule(text), rule, text);
});

test('lines that would open more than they seem to, or nothing', async (t) => {
  const bad: readonly [string, RegExp][] = [
    ['', /expected \[SOURCE@\]/],
    ['239.1.1', /expected \[SOURCE@\]/],
    ['239.0.0.0/33', /expected \[SOURCE@\]/],
    ['239.0.0.0/', /expected \[SOURCE@\]/],
    ['239.1.1.1:', /expected \[SOURCE@\]/],
    ['239.1.1.1:x', /expected \[SOURCE@\]/],
    ['group.example:5000', /expected \[SOURCE@\]/],
    ['a@b@239.1.1.1', /expected \[SOURCE@\]/],
    ['@239.1.1.1', /expected \[SOURCE@\]/],
    ['[ff02::1%eth0]:5000', /expected \[SOURCE@\]/],
    ['239.1.1.1:0', /expected ports/],
    ['239.1.1.1:70000', /expected ports/],
    ['239.1.1.1:6000-5000', /expected ports/],
    // Prefixes that hold more than groups.
    ['0.0.0.0/0', /expected groups/],
    ['0.0.0.0/0:5000', /expected groups/],
    ['224.0.0.0/3', /expected groups/],
    ['::/0', /expected groups/],
    ['fe00::/7', /expected groups/],
    ['ff00::/7', /expected groups/],
    // Addresses of machines: not by a prefix, not without ports.
    ['10.0.0.0/8:5000', /expected groups/],
    ['127.0.0.0/8:5000', /expected groups/],
    ['192.0.2.7', /expected groups/],
    ['2001:db8::7', /expected groups/],
    // What stands for other addresses.
    ['0.0.0.0:5000', /expected groups/],
    ['[::]:5000', /expected groups/],
    ['[0:0::0]:5000', /expected groups/],
    ['255.255.255.255:5000', /expected groups/],
    ['[::ffff:239.1.1.1]:5000', /expected groups/],
    ['[0:0:0:0:0:ffff:7f00:1]:5000', /expected groups/],
    ['10.1.2.3@192.0.2.7:5000', /unicast source/],
    ['10.1.2.3@ff3e::/32', /unicast source/],
    ['239.1.1.2@239.1.1.1', /unicast source/],
  ];
  for (const [text, expected] of bad) t.match(parseRelayRule(text), expected, text || 'nothing');
});

function problemsOf(settings: object): string {
  try {
    parseSettings(JSON.stringify(settings), 'f.yaml');
    return '';
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return error.message;
  }
}

test('the whole of http.relay', async (t) => {
  const allow = ['239.0.0.0/8'];
  const { relay } = parseSettings(JSON.stringify({ http: { relay: { allow } } }), 'f.yaml').http;
  t.match(relay, { max_groups: 100, hold: 5000, wait: 5000, delay: 50, ring: 4 * 2 ** 20 });
  t.match(problemsOf({ http: { relay: {} } }), /allow/);
  t.match(problemsOf({ http: { relay: { allow: [] } } }), /at least one address/);
  t.match(problemsOf({ http: { relay: { allow: ['10.0.0.0/8'] } } }), /expected groups/);
  t.match(problemsOf({ http: { relay: { allow, ring: '3MiB' } } }), /power of two/);
  t.match(problemsOf({}), /flow or interface, or http\.relay/);
  const origin = 'http://origin.example/';
  for (const site of [
    { id: 'udp', origin },
    { id: 'a', prefix: '/rtp/x/', origin },
  ]) {
    t.match(problemsOf({ http: { relay: { allow } }, sites: [site] }), /those of http\.relay/);
    t.equal(problemsOf({ sites: [site] }), '');
  }
  t.equal(problemsOf({ http: { relay: { allow } }, sites: [{ id: 'all', prefix: '/', origin }] }), '');
});
