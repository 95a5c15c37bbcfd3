import { isIP } from 'node:net';
import type { Command } from 'commander';
import { SluiceError } from '../base/errors.js';
import { duration } from '../config/units.js';
import type { SiteSettings } from '../delivery/settings.js';
import { makeToken, signedPaths } from '../delivery/token.js';
import { loadSettings } from '../settings.js';
import { print, printJson } from './output.js';

const LONGEST = 3_650 * 86_400_000;

/** `sluice sign URL-PATH -c FILE`: a path with a token of the site that it is of. */
export function register(program: Command): void {
  program
    .command('sign')
    .summary('sign a path, so that it opens for a time')
    .description("Signs a path of the viewers' front with a key of its site (sites[].tokens).")
    .argument('<path>', 'as viewers ask for it: /cdn/live/index.m3u8')
    .requiredOption('-c, --config <file>', 'configuration (YAML)')
    .option('--site <id>', "id of the site; when absent, the one with the path's prefix")
    .option('--expires <time>', 'for how long it is good, such as 10m, 6h or 30d', '6h')
    .option('--address <address>', 'good for this client only: an IPv4 address, or the /64 of an IPv6 address')
    .option(
      '--scope <path>',
      'good for this path: for all below when it ends in "/"; when absent, the folder of the path',
    )
    .option('--key <id>', 'id of the key; when absent, the first of the site')
    .option('--json', 'one JSON line: {"site","key","expires","scope","token","path","query"}')
    .addHelpText(
      'after',
      '\nPrints two paths: the first carries the token on to what a playlist names in relation to itself, the second is for one ' +
        'object.\n\nExit codes: 0 done; 2 a wrong path, site or key.\n' +
        '\nExamples:\n  sluice sign /cdn/live/index.m3u8 -c /etc/sluice/sluice.yaml\n' +
        '  sluice sign /cdn/film.mp4 -c sluice.yaml --scope /cdn/film.mp4 --expires 10m --address 192.0.2.7',
    )
    .action(async (path: string, options: SignOptions) => sign(path, options));
}

interface SignOptions {
  readonly config: string;
  readonly site?: string;
  readonly expires: string;
  readonly address?: string;
  readonly scope?: string;
  readonly key?: string;
  readonly json?: boolean;
}

async function sign(path: string, options: SignOptions): Promise<void> {
  const { sites } = await loadSettings(options.config);
  const site = siteOf(path, options.site, sites);
  const keys = site.tokens?.keys ?? [];
  const key = options.key === undefined ? keys[0] : keys.find(({ id }) => id === options.key);
  if (key === undefined) {
    const known = keys.length === 0 ? 'no keys' : keys.map(({ id }) => id).join(', ');
    throw wrong(`expected a key of sites[${site.id}].tokens, which has ${known}`, options.key);
  }
  const expires = Date.now() + lifeOf(options.expires);
  const terms = {
    site: site.id,
    key,
    expires,
    address: addressOf(options.address),
    scope: scopeOf(path, options, site),
  };
  const token = makeToken(terms);
  const paths = signedPaths(path, site.prefix, token);
  if (options.json !== true) return print(`${paths.path}\n${paths.query}`);
  const at = new Date(expires).toISOString();
  printJson({ site: site.id, key: key.id, expires: at, scope: terms.scope, token, ...paths });
}

function siteOf(path: string, id: string | undefined, sites: readonly SiteSettings[]): SiteSettings {
  const fitting = sites.filter(({ prefix }) => path.startsWith(prefix));
  const best = fitting.toSorted((a, b) => b.prefix.length - a.prefix.length)[0];
  // The longest prefix is whose site answers, whatever was meant.
  if (best !== undefined && (id === undefined || best.id === id)) return best;
  const known = sites.map((site) => `${site.id} (${site.prefix})`).join(', ');
  throw wrong(
    `expected a path of ${id === undefined ? 'a site' : `the site ${id}`}; there are: ${known || 'none'}`,
    path,
  );
}

function lifeOf(text: string): number {
  const life = duration({ min: 1000, max: LONGEST }).safeParse(text);
  if (!life.success) throw wrong(`--expires: ${life.error.issues[0]?.message}`, text);
  return life.data;
}

function addressOf(text: string | undefined): string | null {
  if (text !== undefined && (isIP(text) === 0 || text.includes('%')))
    throw wrong('--address: expected a numeric IPv4 or IPv6 address', text);
  return text ?? null;
}

/** Behind the prefix, with the slash before it. */
function scopeOf(path: string, { scope }: SignOptions, { prefix }: SiteSettings): string {
  const [plain = ''] = path.split(/[?#]/, 1);
  const wanted = scope ?? plain.slice(0, plain.lastIndexOf('/') + 1);
  if (!wanted.startsWith(prefix)) throw wrong(`--scope: expected a path below ${prefix}`, wanted);
  const below = wanted.slice(prefix.length - 1);
  const opens = below.endsWith('/')
    ? plain.slice(prefix.length - 1).startsWith(below)
    : plain.slice(prefix.length - 1) === below;
  if (!opens) throw wrong('--scope: expected one that the path is in', wanted);
  return below;
}

function wrong(message: string, got: string | undefined): SluiceError {
  return new SluiceError('USAGE', `sign: ${message}${got === undefined ? '' : ` (got ${JSON.stringify(got)})`}`);
}
