import type { Lab } from './lab.js';
import type { Report } from './report.js';

/** One thing that `npm run lab` can play. */
export interface Scenario {
  readonly name: string;
  /** One line for the list. */
  readonly summary: string;
  /** Plays all steps; whatever it throws besides makes one more failed step. */
  play(lab: Lab, report: Report, signal: AbortSignal): Promise<void>;
}
