import t from 'tap';
import { campaign, fuzzTargets } from './lib/campaign.js';

/** For each target. */
const SECONDS = Number(process.env.SLUICE_FUZZ_SECONDS ?? 60);

const targets = await fuzzTargets();
t.setTimeout((targets.length * SECONDS + 120) * 1000);
t.test('parsers keep their word about damaged documents, for longer', (t) => campaign(t, { seconds: SECONDS }));
