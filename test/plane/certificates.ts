/** Certificates for tests: made by the openssl program, in a folder of their own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
    const [certFile, keyFile] = [join(this.folder, `${name}.pem`), join(this.folder, `${name}.key`)];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
    const what = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`, '-days', '2', '-out', certFile];
    execFileSync('openssl', ['req', '-x509', ...key, ...what], { stdio: 'pipe' });
    return { certFile, keyFile, cert: readFileSync(certFile, 'latin1'), key: readFileSync(keyFile, 'latin1') };
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
