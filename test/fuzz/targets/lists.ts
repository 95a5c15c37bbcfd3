import assert from 'node:assert/strict';
import { parse } from 'sdp-transform';
import { writeM3u } from '../../../daemon/protocols/m3u/write.js';
import { describeMulticast } from '../../../daemon/protocols/sdp/describe.js';
import { type FuzzTarget, textOf } from '../lib/target.js';

const SESSION = {
  sessionId: 1,
  version: 1,
  origin: '192.0.2.1',
  group: '239.1.1.1',
  port: 5000,
  ttl: 8,
  source: null,
};

/** Names that people gave, in what is written about them: one line stays one line. */
export const target: FuzzTarget = {
  name: 'lists',
  tokens: ['\r\nm=audio 1 RTP/AVP 0', '\n#EXTINF:-1,', '",tvg-name="', '\xc2\x85'],
  check(document) {
    const name = textOf(document);
    const list = writeM3u([{ id: 'news-high', name, url: 'http://edge.example/news' }]);
    assert.equal(list.split(/\r\n|[\n\r\u2028\u2029\u0085]/).length, 4);
    assert.equal(list.split('\n')[1]?.match(/"/g)?.length ?? 0, 4 + (name.match(/"/g)?.length ?? 0));
    const sdp = describeMulticast({ ...SESSION, name });
    const again = parse(sdp);
    assert.equal(again.media.length, 1);
    assert.equal(again.media[0]?.port, 5000);
    assert.equal(sdp.split(/\r\n|[\n\r]/).length, describeMulticast({ ...SESSION, name: 'x' }).split('\r\n').length);
  },
};
