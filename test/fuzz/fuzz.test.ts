import t from 'tap';
import { campaign } from './lib/campaign.js';

/** Of each target; a few seconds in all. */
const DOCUMENTS = 1000;

t.test('parsers keep their word about damaged documents', (t) => campaign(t, { runs: DOCUMENTS }));
