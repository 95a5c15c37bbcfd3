/** Certificates of the viewers' front: read from files, checked so far that an error names the file, watched until they expire. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../base/clock.js';
import { SluiceError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import type { Metrics } from '../base/metrics.js';
import type { TlsCertificate } from './contract.js';

const DAY = 86_400_000;
/** A certificate that ends within this time should have been renewed: certbot does so 30 days before. */
const EXPIRES_SOON = 14 * DAY;
const EXPIRY_METRIC = 'sluice_tls_certificate_expiry_timestamp_seconds';

/** Where a certificate, with the chain above it, and its private key are; both PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate as it was read. */
export interface LoadedCertificate {
  readonly files: CertificateFiles;
  readonly pem: TlsCertificate;
  /** Milliseconds since 1970: the first end of the certificate and those above it. */
  readonly expires: number;
}

/** Reads them all. @throws SluiceError TLS_CERTIFICATE, naming the file */
export function readCertificates(all: readonly CertificateFiles[]): Promise<LoadedCertificate[]> {
  return Promise.all(all.map((files) => readCertificate(files)));
}

async function readCertificate(files: CertificateFiles): Promise<LoadedCertificate> {
  const [chain, key] = await Promise.all([read(files.certificate), read(files.key)]);
  const certificates = parseChain(files.certificate, chain);
  if (certificates[0]?.checkPrivateKey(parseKey(files.key, key)) !== true) {
    throw unusable(files.key, `the key is not that of the certificate in ${files.certificate}`);
  }
  const expires = Math.min(...certificates.map(({ validTo }) => Date.parse(validTo)));
  return { files, pem: { chain, key }, expires };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw unusable(file, 'cannot be read', error);
  }
}

function parseChain(file: string, pem: string): X509Certificate[] {
  const blocks =
    pem.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw unusable(file, 'expected a certificate in PEM (-----BEGIN CERTIFICATE-----)');
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw unusable(file, 'a certificate in it cannot be read', error);
  }
}

function parseKey(file: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw unusable(file, 'expected a private key in PEM, without a passphrase', error);
  }
}

function unusable(file: string, sentence: string, cause?: unknown): SluiceError {
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  return new SluiceError('TLS_CERTIFICATE', `${file}: ${sentence}${reason}`, { file }, { cause });
}

/** Runs what gives certificates to the plane; what the plane says against them names their files. */
export function usingCertificates<T>(all: readonly LoadedCertificate[], use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'TLS_CERTIFICATE') throw error;
    throw unusable(all.map(({ files }) => files.certificate).join(', '), error.message);
  }
}

export interface ExpiryWatchParts {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** Tells when certificates expire: as a metric, and once a day in the log of those that soon will. */
export class ExpiryWatch {
  readonly #parts: ExpiryWatchParts;
  readonly #stop: () => void;

  constructor(parts: ExpiryWatchParts, current: () => readonly LoadedCertificate[]) {
    this.#parts = parts;
    parts.metrics.gauge({
      name: EXPIRY_METRIC,
      help: "When a certificate of the viewers' front, or one above it, expires.",
      labels: ['certificate'],
      read: () =>
        current().map(({ files, expires }) => ({ labels: { certificate: files.certificate }, value: expires / 1000 })),
    });
    const timer = parts.clock.setInterval(() => this.look(current()), DAY, false);
    this.#stop = () => {
      timer.cancel();
      parts.metrics.remove(EXPIRY_METRIC);
    };
  }

  /** Warns of what expires soon. */
  look(certificates: readonly LoadedCertificate[]): void {
    const { log, clock } = this.#parts;
    for (const { files, expires } of certificates) {
      const left = expires - clock.wall();
      if (left >= EXPIRES_SOON) continue;
      const facts = { certificate: files.certificate, expires: new Date(expires).toISOString() };
      if (left > 0) log.warn(facts, `a certificate expires in ${Math.floor(left / DAY)} days`);
      else log.warn(facts, 'a certificate has expired: clients refuse it');
    }
  }

  close(): void {
    this.#stop();
  }
}
