import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

/** A page in a browser of its own, and what went wrong in it. */
export interface Opened {
  readonly page: Page;
  /** Uncaught exceptions and violations of the content security policy. */
  readonly faults: string[];
  /** Hosts that were asked for anything. */
  readonly hosts: Set<string>;
  readonly close: () => Promise<void>;
}

/** Path of a Chromium on this machine, or undefined. */
export function findChromium(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/** Switches off everything that a browser does by itself. */
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

/** Opens a page in a new browser with an empty profile. */
export async function openPage(
  executablePath: string,
  url: string,
  scheme: 'light' | 'dark' = 'light',
): Promise<Opened> {
  const profile = await mkdtemp(join(tmpdir(), 'sluice-browser-'));
  const faults: string[] = [];
  const hosts = new Set<string>();
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    colorScheme: scheme,
    viewport: { width: 1440, height: 1000 },
    args: QUIET,
  });
  const close = async (): Promise<void> => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
    });
    page.on('request', (request) => {
      if (/^(http|ws)/.test(request.url())) hosts.add(new URL(request.url()).host);
    });
    await page.goto(url, { waitUntil: 'load', timeout: 30_000 });
    return { page, faults, hosts, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Waits until the text of an element matches. */
export async function says(page: Page, selector: string, pattern: RegExp, timeout = 15_000): Promise<string> {
  await page
    .locator(selector)
    .filter({ hasText: pattern })
    .first()
    .waitFor({ state: 'attached', timeout })
    .catch(async () => {
      throw new Error(
        `${selector} does not say ${String(pattern)} but: ${await page.locator(selector).first().textContent()}`,
      );
    });
  return (await page.locator(selector).first().textContent()) ?? '';
}
