/** Errors of the addon carry a stable code as text; here they become ours. */
import { ERROR_CODES, type ErrorCode, SluiceError } from '../base/errors.js';

/** One that is not in our list would be a mistake there. */
export function toCode(code: string): ErrorCode {
  return ERROR_CODES.find((known) => known === code) ?? 'SYSTEM_CALL';
}

/**
 * Calls into the addon.
 * @throws SluiceError of its code
 */
export function native<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error;
    throw new SluiceError(toCode(error.code), error.message, {}, { cause: error });
  }
}
