/** A parser under test. Every file in test/fuzz/targets exports one as `target`; it is found by its folder. */
import { type ErrorCode, SluiceError } from '../../../daemon/base/errors.js';

export interface FuzzTarget {
  /** Also the name of its folders in test/fuzz/corpus and test/fuzz/crashes. */
  readonly name: string;
  /** Further seeds: folders or files, from the root. */
  readonly seeds?: readonly string[];
  /** Words of the format, which are put into the seeds; byte strings (latin1). */
  readonly tokens: readonly string[];
  /** Fails when the parser breaks its word about this document. */
  check(document: Uint8Array): void | Promise<void>;
}

/** What `call` gives, or null where it refuses with one of the codes. Everything else that it throws goes on. */
export function unlessRefused<T>(codes: readonly ErrorCode[], call: () => T): T | null {
  try {
    return call();
  } catch (error) {
    if (error instanceof SluiceError && codes.includes(error.code) && error.message !== '') return null;
    throw error;
  }
}

export function textOf(document: Uint8Array): string {
  return new TextDecoder().decode(document);
}
