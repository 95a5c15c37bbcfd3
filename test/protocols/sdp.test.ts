import { parse } from 'sdp-transform';
import t from 'tap';
import { describeMulticast, type MulticastSession } from '../../daemon/protocols/sdp/describe.js';

const SESSION: MulticastSession = {
  name: 'News',
  sessionId: 1_790_000_000,
  version: 2,
  origin: '192.0.2.1',
  group: '239.1.1.1',
  port: 5000,
  ttl: 8,
  source: null,
};

t.test('any-source, IPv4, line by line (RFC 8866)', async (t) => {
  t.strictSame(describeMulticast(SESSION).split('\r\n'), [
    'v=0',
    'o=- 1790000000 2 IN IP4 192.0.2.1',
    's=News',
    'c=IN IP4 239.1.1.1/8',
    't=0 0',
    'm=video 5000 RTP/AVP 33',
    'a=rtpmap:33 MP2T/90000',
    'a=recvonly',
    '',
  ]);
});

t.test('source-specific (RFC 4570)', async (t) => {
  const text = describeMulticast({ ...SESSION, group: '232.1.1.1', source: '192.0.2.1' });
  t.match(text, 'a=source-filter: incl IN IP4 232.1.1.1 192.0.2.1\r\n');
});

t.test('IPv6 carries no TTL (RFC 8866 section 5.7)', async (t) => {
  const text = describeMulticast({ ...SESSION, group: 'ff35::8000:1', origin: '2001:db8::1', source: '2001:db8::1' });
  t.match(text, 'c=IN IP6 ff35::8000:1\r\n');
  t.match(text, 'o=- 1790000000 2 IN IP6 2001:db8::1\r\n');
  t.match(text, 'a=source-filter: incl IN IP6 ff35::8000:1 2001:db8::1\r\n');
});

t.test('a name cannot add lines, and is never empty', async (t) => {
  t.equal(parse(describeMulticast({ ...SESSION, name: 'a\r\nm=audio 1 RTP/AVP 0' })).media.length, 1);
  t.match(describeMulticast({ ...SESSION, name: ' ' }), 's=-\r\n');
});
