import t from 'tap';
import { parseMediaUrl, rtpUrl } from '../../daemon/streams/media-url.js';
import { isSourceSpecific } from '../../daemon/streams/sender.js';
import { channelsSchema, locationsOf } from '../../daemon/streams/settings.js';

t.test('URLs of sources', async (t) => {
  const good: [string, object][] = [
    [
      'http://origin.example/news.m3u8',
      { kind: 'http', url: 'http://origin.example/news.m3u8', display: 'http://origin.example/news.m3u8' },
    ],
    [
      'http://user:secret@origin.example/x',
      { kind: 'http', url: 'http://user:secret@origin.example/x', display: 'http://origin.example/x' },
    ],
    ['rtp://239.1.1.1:5000', { kind: 'rtp', address: '239.1.1.1', port: 5000, source: null, interfaceName: null }],
    ['rtp://@239.1.1.1:5000', { kind: 'rtp', source: null }],
    [
      'rtp://192.0.2.1@232.1.1.1:5000?iface=eth0',
      { kind: 'rtp', address: '232.1.1.1', source: '192.0.2.1', interfaceName: 'eth0' },
    ],
    ['udp://0.0.0.0:1235', { kind: 'udp', address: '0.0.0.0', port: 1235 }],
    ['rtp://[2001:db8::1]@[ff35::8000:1]:5000', { address: 'ff35::8000:1', source: '2001:db8::1' }],
    ['UDP://[::]:1234/', { kind: 'udp', address: '::' }],
  ];
  for (const [text, location] of good) t.match(parseMediaUrl(text), { location }, text);
  const bad: [string, RegExp][] = [
    ['rtsp://origin.example/x', /expected http:\/\//],
    ['news.m3u8', /expected http:\/\//],
    ['http://', /with a host/],
    ['http://a:0/', /port of 1/],
    ['rtp://239.1.1.1:5001', /even port/],
    ['rtp://239.1.1.1', /expected http/],
    ['rtp://group.example:5000', /numeric/],
    ['rtp://[fe80::1%eth0]:5000', /numeric|expected/],
    ['udp://239.1.1.1:70000', /port of 1 to 65535/],
    ['udp://192.0.2.9@192.0.2.1:5000', /multicast group after/],
    ['rtp://2001:db8::1@239.1.1.1:5000', /expected/],
    ['rtp://x@239.1.1.1:5000', /numeric source/],
    ['rtp://[2001:db8::1]@239.1.1.1:5000', /same family/],
    ['rtp://239.1.1.1:5000?ttl=3', /got ttl/],
    ['rtp://239.1.1.1:5000?iface=a/b', /network interface/],
  ];
  for (const [text, expected] of bad) t.match(parseMediaUrl(text), { expected }, text);
  t.equal(rtpUrl('ff35::1', 5000, '::1'), 'rtp://[::1]@[ff35::1]:5000');
});

const rendition = { id: 'high', url: 'http://origin.example/high.m3u8' };
const issuesOf = (channels: unknown): string[] => {
  const result = channelsSchema.safeParse(channels);
  return result.success ? [] : result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
};

t.test('defaults', async (t) => {
  const [channel] = channelsSchema.parse([
    { id: 'news', renditions: [{ ...rendition, multicast: { address: '239.1.1.1', port: 5000 } }] },
  ]);
  t.match(channel, {
    hls: { segment: 2000, window: 6 },
    smoothing: { threshold: 20, max_delay: 200 },
    renditions: [
      {
        format: 'auto',
        buffer: { memory: 32 * 2 ** 20, delay: 300 },
        multicast: { ttl: 8, dscp: 34, batching: 'auto', loop: true },
      },
    ],
  });
  t.equal(locationsOf(channel?.renditions[0] as never).length, 1);
});

t.test('all that an operator may write', async (t) => {
  const [channel] = channelsSchema.parse([
    {
      id: 'news',
      name: 'News',
      hls: { segment: '4s', window: 10 },
      smoothing: { threshold: '35%' },
      renditions: [
        {
          id: 'high',
          urls: ['http://a.example/x', 'rtp://239.9.9.9:5000'],
          format: 'hls',
          program: 1,
          max_bandwidth: 5_000_000,
          bandwidth: 1_200_000,
          resolution: '640x360',
          codecs: 'avc1.64001f,mp4a.40.2',
          buffer: { memory: '8MiB', delay: '1s' },
          multicast: {
            address: 'ff15::1',
            port: 5000,
            interface: 'lo',
            source: '::1',
            ttl: 1,
            dscp: 0,
            batching: 'plain',
            loop: false,
          },
        },
      ],
    },
  ]);
  t.match(channel, {
    hls: { segment: 4000 },
    smoothing: { threshold: 35, max_delay: 200 },
    renditions: [{ resolution: { width: 640, height: 360 }, buffer: { memory: 8 * 2 ** 20, delay: 1000 } }],
  });
});

t.test('refused, with the key and what was expected', async (t) => {
  const one = (change: object): unknown => [{ id: 'news', renditions: [{ ...rendition, ...change }] }];
  const smoothed = (smoothing: unknown): unknown => [{ id: 'news', smoothing, renditions: [rendition] }];
  t.equal(channelsSchema.parse(smoothed('off'))[0]?.smoothing, null);
  const cases: [unknown, RegExp][] = [
    [smoothed('on'), /0\.smoothing: expected off, or threshold/],
    [[{ id: 'news', renditions: [] }], /0\.renditions: expected at least one rendition/],
    [[{ id: 'News', renditions: [rendition] }], /0\.id: expected an id/],
    [[{ id: 'news', renditions: [rendition, rendition] }], /0\.renditions\.1\.id: expected an id that is not in use/],
    [
      [
        { id: 'a', renditions: [rendition] },
        { id: 'a', renditions: [rendition] },
      ],
      /1\.id: expected an id that is not in use/,
    ],
    [one({ url: 'ftp://x/y' }), /0\.renditions\.0\.url: expected http/],
    [one({ urls: ['http://x/y'] }), /expected either url or urls/],
    [[{ id: 'news', renditions: [{ id: 'x' }] }], /expected either url or urls/],
    [one({ buffer: { memory: '3MiB' } }), /power of two/],
    [one({ buffer: { delay: '11s' } }), /delay: expected a duration of 0ms to 10s/],
    [one({ multicast: { address: '10.0.0.1', port: 5000 } }), /multicast\.address: expected a multicast address/],
    [one({ multicast: { address: '239.1.1.1', port: 5001 } }), /multicast\.port: expected an even port/],
    [one({ multicast: { address: '239.1.1.1', port: 5000, source: '::1' } }), /same address family/],
    [one({ multicast: { address: '239.1.1.1', port: 5000, tll: 3 } }), /Unrecognized key|unknown|tll/],
    [
      one({ multicast: { address: '239.1.1.1', port: 5000, fec: { payload_type: 98 }, reed_solomon: {} } }),
      /reed_solomon\.payload_type: expected the payload type of fec/,
    ],
    [one({ multicast: { address: '239.1.1.1', port: 5000, fec: { columns: 11 } } }), /at most 100 packets/],
    [one({ codecs: 'a"b' }), /codecs of RFC 6381/],
    [one({ resolution: '640' }), /WIDTHxHEIGHT/],
  ];
  for (const [channels, expected] of cases) t.match(issuesOf(channels).join('\n'), expected, String(expected));
  const shared = { address: '239.1.1.1', port: 5000 };
  t.match(
    issuesOf([
      { id: 'a', renditions: [{ ...rendition, multicast: shared }] },
      { id: 'b', renditions: [{ ...rendition, multicast: shared }] },
    ]).join(),
    /1\.renditions\.0\.multicast\.port: expected a group and port of its own: 239\.1\.1\.1 port 5000 is used by a\/high/,
  );
});

t.test('which groups are source-specific (RFC 4607)', async (t) => {
  for (const group of ['232.0.0.1', '232.255.1.1', 'ff35::8000:1', 'FF3E::1', 'ff3e:0:1::1', 'ff3e:0000::5'])
    t.ok(isSourceSpecific(group), group);
  for (const group of ['239.1.1.1', '233.1.1.1', '10.232.0.1', 'ff15::1', 'ff3e:20:2001::1', '2001:db8::1'])
    t.notOk(isSourceSpecific(group), group);
});
