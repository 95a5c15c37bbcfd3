/** Certificates for tests: made by the openssl program, in a folder of their own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a certificate is made with. */
export interface MakeOptions {
  /** As in subjectAltName: `DNS:a.example,IP:127.0.0.1`. */
  readonly names: string;
  /** The file's name when absent. */
  readonly commonName?: string;
  readonly days?: number;
  /** As openssl's -newkey has it, with its options. */
  readonly newkey?: readonly string[];
}

const CURVE = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];

/** A self-signed certificate `NAME.pem` and its key `NAME.key`; written over what is there. */
export function makeCertificate(
  folder: string,
  name: string,
  { names, commonName = name, days = 2, newkey = CURVE }: MakeOptions,
): { readonly certificate: string; readonly key: string } {
  const [certificate, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const what = ['-subj', `/CN=${commonName}`, '-addext', `subjectAltName=${names}`, '-days', String(days)];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', '-nodes', '-newkey', ...newkey, ...what, ...files], { stdio: 'pipe' });
  return { certificate, key };
}

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

/** A folder with certificates, gone after `close`. Each is its own authority. */
export class Certificates {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));

  /** @param names as in subjectAltName: `DNS:a.example,IP:127.0.0.1` */
  make(name: string, names: string): Certificate {
    const { certificate: certFile, key: keyFile } = makeCertificate(this.folder, name, { names });
    return { certFile, keyFile, cert: readFileSync(certFile, 'latin1'), key: readFileSync(keyFile, 'latin1') };
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
