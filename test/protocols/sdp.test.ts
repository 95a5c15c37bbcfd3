import { parse } from 'sdp-transform';
import t from 'tap';
import { type DescribedRepair, describeMulticast, type MulticastSession } from '../../daemon/protocols/sdp/describe.js';
import { readMulticast } from '../../daemon/protocols/sdp/read.js';

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

const AGAIN = {
  address: '192.0.2.1',
  port: 5008,
  plain: false,
  payloadType: 97,
  depthMs: 2000,
  toGroup: true,
  tokens: true,
  acquisition: true,
};
const REPAIR: DescribedRepair = {
  parity: { columns: 10, rows: 5, rowParity: true },
  block: { source: 20, repair: 4 },
  parityType: 96,
  retransmission: AGAIN,
  range: 'http://192.0.2.1:8080/live/news/main.rtp',
};

t.test('repair is described by media of its own, grouped with what it repairs', async (t) => {
  const lines = describeMulticast({ ...SESSION, repair: REPAIR }).split('\r\n');
  for (const line of [
    'a=group:FEC-FR 1 2',
    'a=group:FEC-FR 1 3',
    'a=group:FEC-FR 1 4',
    'a=group:FID 1 5',
    'a=group:FID 1 6',
    'm=video 5000 RTP/AVPF 33',
    'a=rtcp:5008 IN IP4 192.0.2.1',
    'a=rtcp-fb:33 nack',
    'a=rtcp-fb:33 nack rai',
    'a=rtcp-rsize',
    'a=portmapping-req:5008 IN IP4 192.0.2.1',
    'a=x-sluice-range:http://192.0.2.1:8080/live/news/main.rtp',
    'm=video 5002 RTP/AVP 96',
    'a=rtpmap:96 1d-interleaved-parityfec/90000',
    'a=fmtp:96 L=10; D=5; repair-window=2000000',
    'm=video 5004 RTP/AVP 96',
    'a=fmtp:96 L=1; D=10; repair-window=2000000',
    'm=video 5006 RTP/AVP 96',
    'a=fmtp:96 k=20; m=4',
    'm=video 5008 RTP/AVPF 97',
    'c=IN IP4 192.0.2.1',
    'a=fmtp:97 apt=33;rtx-time=2000',
  ])
    t.ok(lines.includes(line), line);
  const again = lines.filter((line) => line === 'm=video 5008 RTP/AVPF 97');
  t.equal(again.length, 2, 'to each, and to the group, whose address is that of the session');
  t.equal(lines.filter((line) => line.startsWith('c=')).length, 2);
  const singly = describeMulticast({ ...SESSION, repair: { ...REPAIR, retransmission: { ...AGAIN, toGroup: false } } });
  t.notMatch(singly, 'a=group:FID 1 6');
});

t.test('what is described is read again', async (t) => {
  const common = { address: '239.1.1.1', port: 5000, source: null, numbering: 'rtp' };
  const plain = { ...common, fec: false, feedback: null, tokens: false, acquisition: false, range: null };
  t.strictSame(readMulticast(describeMulticast(SESSION)), plain);
  const feedback = { address: '192.0.2.1', port: 5008 };
  t.strictSame(readMulticast(describeMulticast({ ...SESSION, repair: REPAIR })), {
    ...plain,
    fec: true,
    feedback,
    tokens: true,
    acquisition: true,
    range: 'http://192.0.2.1:8080/live/news/main.rtp',
  });
  const ssm = { ...SESSION, group: 'ff3e::1', origin: '2001:db8::1', source: '2001:db8::1' };
  t.match(describeMulticast({ ...SESSION, numbered: true }), 'a=extmap:1 urn:x-sluice:rtp-hdrext:sequence\r\n');
  t.match(readMulticast(describeMulticast({ ...SESSION, numbered: true })), { numbering: 'rtp-extension' });
  t.match(readMulticast(describeMulticast(ssm)), { address: 'ff3e::1', source: '2001:db8::1' });
});

t.test('what is no description of MPEG-TS says what was expected', async (t) => {
  for (const [text, expected] of [
    ['', 'expected a media description of MP2T'],
    ['v=0\r\nm=audio 5000 RTP/AVP 0\r\n', 'expected a media description of MP2T'],
    ['v=0\r\nm=video 5000 RTP/AVP 33\r\n', 'numeric address'],
    ['v=0\r\nc=IN IP4 example.org\r\nm=video 5000 RTP/AVP 33\r\n', 'numeric address'],
    ['v=0\r\nc=IN IP4 239.1.1.1\r\nm=video 5001 RTP/AVP 33\r\n', 'even port'],
    [describeMulticast({ ...SESSION, repair: REPAIR }).replace('5002', '6002'), 'ports + 2, + 4 or + 6'],
    [describeMulticast({ ...SESSION, repair: REPAIR }).replace('req:5008', 'req:5010'), 'of the feedback target'],
    ['x'.repeat(70_000), 'at most'],
  ] as const) {
    const read = readMulticast(text);
    t.type(read, 'string');
    t.match(read, expected);
  }
});
