import assert from 'node:assert/strict';
import { SluiceError } from '../../../daemon/base/errors.js';
import { parseSettings } from '../../../daemon/settings.js';
import { type FuzzTarget, textOf } from '../lib/target.js';

export const target: FuzzTarget = {
  name: 'config',
  seeds: ['config/demo.yaml', 'config/sluice.yaml', 'config/unicast-from-multicast.yaml'],
  tokens: [
    '&a ',
    '*a',
    '<<: *a',
    '- ',
    '? ',
    '|\n',
    '>-\n',
    '!!binary ',
    '!!js/function ',
    '{',
    '}',
    '[',
    ']',
    '---\n',
    '...\n',
    '__proto__: ',
    'constructor: ',
    'channels: ',
    'null',
    '~',
    'true',
  ],
  check(document) {
    const text = textOf(document);
    try {
      const settings = parseSettings(text, 'fuzz.yaml');
      assert.ok(Object.isFrozen(settings) && Object.isFrozen(settings.channels));
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      assert.equal(error.code, 'CONFIG_INVALID');
      const lines = text.split(/\r\n|[\n\r\u2028\u2029\u0085]/).length;
      for (const line of error.message.split('\n')) {
        const place = /^fuzz\.yaml:(?:(\d+):(\d+): .| and \d+ more problems$)/.exec(line);
        assert.ok(place !== null, `not a problem with its place: ${JSON.stringify(line)}`);
        assert.ok(place[1] === undefined || Number(place[1]) <= lines, line);
      }
    }
  },
};
