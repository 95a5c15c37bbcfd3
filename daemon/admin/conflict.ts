import { SluiceError } from '../base/errors.js';
import { statusOf } from './errors.js';

/** Whatever refuses a change, and is not told apart more exactly: what is wanted is in conflict with what there is. */
const CONFLICT = 409;

/** A thrown value as a route that changes something answers it. */
export function asConflict(error: unknown): unknown {
  if (!(error instanceof SluiceError)) return error;
  const status = statusOf(error.code) ?? CONFLICT;
  return new SluiceError(error.code, error.message, { ...error.details, status }, { cause: error });
}
