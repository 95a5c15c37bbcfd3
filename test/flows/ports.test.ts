// Which sockets are opened for flows, and for whom.
import t from 'tap';
import { PortPool, type PortWish } from '../../daemon/flows/ports.js';
import { flow, Recorder, ServiceBed } from './recorder.js';

const wish = (more: Partial<PortWish> = {}): PortWish => ({
  address: '192.0.2.1',
  port: 5000,
  source: null,
  interfaceName: null,
  ttl: null,
  batching: 'auto',
  receiveBufferBytes: 65_536,
  loop: null,
  ...more,
});

t.test('one socket for all who can share it, closed with its last user', async (t) => {
  const plane = new Recorder();
  const pool = new PortPool(plane);
  const [first, second] = [pool.lease(wish()), pool.lease(wish({ ttl: 64 }))];
  t.equal(first.handle, second.handle);
  t.equal(pool.size, 1);
  first.release();
  first.release();
  t.equal(pool.size, 1, 'a lease is given back once');
  second.release();
  t.equal(plane.ports.size, 0);
});

t.test('what is one socket, and what is not', async (t) => {
  const same: [string, Partial<PortWish>, Partial<PortWish>, boolean][] = [
    ['an address however it is written', { address: 'FF15::1' }, { address: 'ff15::1' }, true],
    ['a group by two interfaces', { address: '239.1.1.1', interfaceName: 'a' }, { address: '239.1.1.1' }, false],
    ['a group of two sources', { address: '239.1.1.1', source: '10.0.0.1' }, { address: '239.1.1.1' }, false],
    ['free ports', { port: 0, ttl: 64 }, { port: 0, ttl: 64 }, true],
    ['free ports with another ttl', { port: 0, ttl: 64 }, { port: 0, ttl: 8 }, false],
    ['free ports of two loops', { port: 0, loop: 0 }, { port: 0, loop: 1 }, false],
    ['free ports by two interfaces', { port: 0, interfaceName: 'a' }, { port: 0, interfaceName: 'b' }, false],
  ];
  for (const [what, one, other, shared] of same) {
    const pool = new PortPool(new Recorder());
    const [a, b] = [pool.lease(wish(one)), pool.lease(wish(other))];
    t.equal(a.handle === b.handle, shared, what);
  }
});

t.test('a socket that is open in another manner is refused, and said how', async (t) => {
  const refused: [Partial<PortWish>, Partial<PortWish>, string, RegExp][] = [
    [{ ttl: 64 }, { ttl: 8 }, 'ADDRESS_IN_USE', /192\.0\.2\.1:5000 .*another ttl \(expected 64, got 8\)/],
    [{}, { ttl: 8 }, 'ADDRESS_IN_USE', /another ttl \(expected 64, got 8\)/],
    [{}, { batching: 'plain' }, 'ADDRESS_IN_USE', /another batching/],
    [{ interfaceName: 'a' }, { interfaceName: 'b' }, 'ADDRESS_IN_USE', /another interface/],
    [{ loop: 1 }, { loop: 0 }, 'LOOP_DIFFERS', /on loop 1, .* loop 0/],
  ];
  for (const [one, other, code, message] of refused) {
    const plane = new Recorder();
    const pool = new PortPool(plane);
    const lease = pool.lease(wish(one));
    t.throws(() => pool.lease(wish(other)), { code, message });
    lease.release();
    t.equal(plane.ports.size, 0, 'a refusal holds nothing');
  }
});

t.test('flows that are sent from one port are on one loop, and those of a port that comes in on it', async (t) => {
  const from = (id: string): object => ({ id, to: `192.0.2.7:${id === 'x' ? 6000 : 6001}`, from: '192.0.2.1:7000' });
  const bed = new ServiceBed([flow('a', 5004, [from('x')], { loop: 1 }), flow('b', 5006, [from('y')])]);
  t.match([bed.service.flow('a'), bed.service.flow('b')], [{ loop: 1 }, { loop: 1 }], 'the second follows');
  const apart = new ServiceBed([flow('a', 5004, [], { loop: 1, ssrc: 1 }), flow('b', 5004, [], { loop: 0, ssrc: 2 })]);
  t.match(apart.service.flow('b'), { state: 'failed', code: 'LOOP_DIFFERS' });
});
