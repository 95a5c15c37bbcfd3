import assert from 'node:assert/strict';
import { displayUrl, parseMediaUrl, rtpUrl } from '../../../daemon/streams/media-url.js';
import { type FuzzTarget, textOf } from '../lib/target.js';

export const target: FuzzTarget = {
  name: 'media-url',
  tokens: [
    'http://',
    'https://',
    'rtp://',
    'udp://',
    '@',
    '[::1]',
    '[ff3e::1]',
    '239.1.1.1',
    ':5000',
    '?iface=',
    '&',
    '%25eth0',
  ],
  check(document) {
    const text = textOf(document);
    displayUrl(text);
    const parsed = parseMediaUrl(text);
    if ('expected' in parsed) {
      assert.match(parsed.expected, /^expected /);
      return;
    }
    const { location } = parsed;
    if (location.kind === 'http') {
      const url = new URL(location.display);
      assert.equal(url.username + url.password, '');
      return;
    }
    assert.ok(location.port >= 1 && location.port <= 65_535);
    const again = parseMediaUrl(
      rtpUrl(location.address, location.port, location.source).replace(/^rtp/, location.kind),
    );
    assert.ok('location' in again && again.location.kind === location.kind);
    assert.deepEqual(
      { ...again.location, display: '', interfaceName: null },
      { ...location, display: '', interfaceName: null },
    );
  },
};
