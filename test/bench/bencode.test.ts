import { isDeepStrictEqual } from 'node:util';
import { array, assert, constant, dictionary, integer, letrec, oneof, property, string } from 'fast-check';
import t from 'tap';
import { type Bencoded, bdecode, bencode } from '../../bench/voice/bencode.js';

t.test('values of every kind, as rtpengine writes them', async (t) => {
  t.equal(bencode({ command: 'ping' }), 'd7:command4:pinge');
  t.equal(bencode({ b: [1, -2], a: 'ü' }), 'd1:a2:ü1:bli1ei-2eee', 'sorted keys, lengths in bytes');
  t.same(bdecode(Buffer.from('d6:result4:ponge')), { result: 'pong' });
});

t.test('what was written is read again', async () => {
  const text = string({ unit: 'grapheme' });
  const key = oneof(constant('call-id'), string({ unit: 'grapheme-ascii', minLength: 1 })).map((one) => `k${one}`);
  const { value } = letrec<{ value: Bencoded }>((tie) => ({
    value: oneof(
      integer(),
      text,
      array(tie('value'), { maxLength: 4 }),
      dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  assert(property(value, (one) => isDeepStrictEqual(bdecode(Buffer.from(bencode(one))), one)));
});

t.test('what was cut off or goes on is refused', async (t) => {
  const whole = bencode({ list: [1, 'two'], text: 'three' });
  for (let end = 0; end < whole.length; end++) t.throws(() => bdecode(Buffer.from(whole.slice(0, end))), /bencoding/);
  t.throws(() => bdecode(Buffer.from(`${whole}e`)), /bytes too many/);
});
