import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { describeError, SluiceError } from '../base/errors.js';
import type { UpstreamSettings } from './upstream-settings.js';

/**
 * Whom https:// upstreams are trusted by, PEM: those of `ca_file`, and, unless `ca_only`, those that Node brings; undefined
 * where nothing is configured.
 * @throws SluiceError TLS_CERTIFICATE when the file cannot be read or holds no certificate
 */
export async function readAuthorities({ tls }: UpstreamSettings): Promise<string | undefined> {
  if (tls.ca_file === undefined) return undefined;
  const text = await read(tls.ca_file);
  return tls.ca_only ? text : [text, ...rootCertificates].join('\n');
}

async function read(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'latin1');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch (error) {
    const says = `upstream.tls.ca_file: cannot read ${file}: ${describeError(error)}`;
    throw new SluiceError('TLS_CERTIFICATE', says, { file }, { cause: error });
  }
  throw new SluiceError('TLS_CERTIFICATE', `upstream.tls.ca_file: expected certificates in PEM form in ${file}`, {
    file,
  });
}
