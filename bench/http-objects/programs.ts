import { existsSync } from 'node:fs';
import { compile } from '../../test/lab/lib/compile.js';
import type { Lab } from '../../test/lab/lib/lab.js';
import { must } from '../../test/lab/lib/process.js';
import { Absent } from '../lib/bench.js';
import { EDGE_ADDRESS } from '../lib/topology.js';

const SOURCES = 'bench/http-objects';
const HEADERS = ['bench/lib', 'test/lab/viewers'];

/** Compiles one of the bench's programs that speak in the clear. */
export function tool(name: 'origin' | 'viewers' | 'bare-objects'): Promise<string> {
  return compile(`bench-${name}`, [`${SOURCES}/${name}.cc`], { headers: HEADERS });
}

/**
 * Compiles one of those that speak TLS.
 * @throws {Absent} without the headers of OpenSSL
 */
export async function tlsTool(name: 'viewers-tls' | 'bare-objects-tls'): Promise<string> {
  if (!existsSync('/usr/include/openssl/ssl.h')) throw new Absent('needs OpenSSL’s headers (Debian: libssl-dev)');
  return compile(`bench-${name}`, [`${SOURCES}/${name}.cc`], {
    headers: HEADERS,
    libraries: ['ssl', 'crypto'],
  });
}

/** The one certificate that all servers of a run show. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Makes a self-signed certificate on P-256. */
export async function makeCertificate(lab: Lab): Promise<Certificate> {
  const [certificate, key] = [lab.file('edge.crt'), lab.file('edge.key')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const subject = ['-subj', `/CN=${EDGE_ADDRESS}`, '-days', '2'];
  await must(['openssl', 'req', '-x509', ...curve, ...subject, '-out', certificate, '-keyout', key]);
  return { certificate, key };
}
