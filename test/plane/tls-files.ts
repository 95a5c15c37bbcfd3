/** Certificates for tests of the viewers' front, made by openssl. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { CertificateFiles } from '../../daemon/plane/certificates.js';

/** What a certificate is made with. */
export interface MakeOptions {
  readonly days?: number;
  /** As openssl's -newkey has it, with its options. */
  readonly newkey?: readonly string[];
}

const CURVE = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** A self-signed certificate for one name, and its key; written over what is there by that file name. */
export function makeCertificate(
  folder: string,
  file: string,
  name: string,
  { days = 60, newkey = CURVE }: MakeOptions = {},
): CertificateFiles {
  const [certificate, key] = [join(folder, `${file}.crt`), join(folder, `${file}.key`)];
  const said = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`, '-days', String(days)];
  const command = ['req', '-x509', '-nodes', '-newkey', ...newkey, ...said, '-out', certificate, '-keyout', key];
  execFileSync('openssl', command, { stdio: 'pipe' });
  return { certificate, key };
}
