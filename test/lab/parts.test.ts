import t from 'tap';
import { bodyName, COLD_SIZE, coldBody } from './parts/cold.js';

t.test('bodies are named by FNV-1a, and no two generations are the same', (t) => {
  // From the authors' test vectors (fnv64a of "" and of "a").
  t.equal(bodyName(Buffer.from('')), '0:cbf29ce484222325');
  t.equal(bodyName(Buffer.from('a')), '1:af63dc4c8601ec8c');
  t.equal(coldBody('/a', 1).length, COLD_SIZE);
  t.notOk(coldBody('/a', 1).equals(coldBody('/a', 2)));
  t.notOk(coldBody('/a', 1).equals(coldBody('/b', 1)));
  t.end();
});
