import { compile } from '../../test/lab/lib/compile.js';

const SOURCES = [
  ...['block_code', 'exclusive_or', 'galois', 'parity_decoder', 'parity_encoder', 'recovery'].map((n) => `repair/${n}`),
  ...['rtp', 'rtcp', 'rtcp_writer'].map((n) => `codec/${n}`),
].map((name) => `native/${name}.cc`);

/**
 * Compiles a bench's program together with the addon's encoders, decoders and receiver.
 *
 * @param source `bench/BENCH/NAME.cc`
 * @returns the program's path
 */
export function repairProgram(source: string): Promise<string> {
  const name = source.replace(/^.*\/|\.cc$/g, '');
  const headers = ['native/repair', 'native/codec'];
  return compile(`bench-${name}`, [source, ...SOURCES], { headers, flags: ['-Inative'] });
}
