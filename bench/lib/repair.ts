import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compile, ROOT } from '../../test/lab/lib/compile.js';

const GALOIS = ['galois', 'galois_affine', 'galois_halves'];
const SOURCES = [
  ...['block_code', 'exclusive_or', ...GALOIS, 'parity_decoder', 'parity_encoder', 'recovery'].map(
    (n) => `repair/${n}`,
  ),
  ...['rtp', 'rtcp', 'rtcp_writer'].map((n) => `codec/${n}`),
].map((name) => `native/${name}.cc`);

/** Whether ISA-L is there to be built in. */
export const HAS_ISAL = existsSync('/usr/include/isa-l/erasure_code.h');
const ISAL = HAS_ISAL ? ['isal'] : [];

/**
 * Compiles a bench's program together with the addon's encoders, decoders and receiver, and ISA-L where it is there.
 *
 * @param source `bench/BENCH/NAME.cc`
 * @returns the program's path
 */
export function repairProgram(source: string): Promise<string> {
  return compile(nameOf(source), [source, ...SOURCES], {
    headers: ['native/repair', 'native/codec'],
    flags: ['-Inative', ...(HAS_ISAL ? ['-DSLUICE_ISAL'] : [])],
    libraries: ISAL,
  });
}

/** Where `npm run build` leaves what the addon is linked of. */
const OBJECTS = 'build/Release/obj.target/sluice/native';
const ROOMS = ['codec', 'kernel', 'secure', 'objects', 'http', 'repair', 'plane', 'third_party/llhttp'];

/**
 * Links a bench's program with the addon's own object files: what it measures is what runs in the daemon.
 *
 * @param source `bench/BENCH/NAME.cc`
 * @returns the program's path
 */
export function planeProgram(source: string): Promise<string> {
  const folders = ROOMS.map((room) => `${OBJECTS}/${room}`);
  const objects = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.o'))
      .map((name) => `${folder}/${name}`),
  );
  return compile(nameOf(source), [source, ...objects], {
    headers: folders,
    flags: ['-Inative', '-Inative/third_party/llhttp', '-D_GNU_SOURCE'],
    libraries: ['ssl', 'crypto', 'z', ...ISAL],
  });
}

const nameOf = (source: string): string => `bench-${source.replace(/^.*\/|\.cc$/g, '')}`;
