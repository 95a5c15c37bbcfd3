import { compile } from '../../test/lab/lib/compile.js';

const SOURCES = [
  ...['block_code', 'exclusive_or', 'galois', 'parity_decoder', 'parity_encoder', 'recovery'].map((n) => `repair/${n}`),
  ...['rtp', 'rtcp', 'rtcp_writer'].map((n) => `codec/${n}`),
].map((name) => `native/${name}.cc`);

/**
 * Compiles a bench's program together with the addon's encoders, decoders and receiver.
 *
 * @param source `bench/BENCH/NAME.cc`
 * @param options `isal` for ISA-L in place of our own arithmetic
 * @returns the program's path
 */
export function repairProgram(source: string, { isal = false } = {}): Promise<string> {
  const name = source.replace(/^.*\/|\.cc$/g, '');
  return compile(`bench-${name}${isal ? '-isal' : ''}`, [source, ...SOURCES], {
    headers: ['native/repair', 'native/codec'],
    flags: ['-Inative', ...(isal ? ['-DSLUICE_ISAL'] : [])],
    libraries: isal ? ['isal'] : [],
  });
}
