/**
 * The whole configuration: every part exports its own schema, here they are put together. Beside main.ts because it knows
 * all parts; apart from it because `sluice check` needs no plane.
 */
import { z } from 'zod';
import { adminSchema } from './admin/settings.js';
import { logSchema } from './base/log.js';
import { type Finding, loadConfig, parseConfig, type Rules } from './config/load.js';
import { type Endpoint, parseEndpoint, sharePort } from './config/units.js';
import { objectsSchema, sitesSchema } from './delivery/settings.js';
import { flowsSchema } from './flows/settings.js';
import { interfacesSchema, membershipSchema } from './membership/settings.js';
import { httpSchema, planeSchema } from './plane/settings.js';
import { storeSchema } from './store/settings.js';
import { channelsSchema } from './streams/settings.js';
import { upstreamSchema } from './streams/upstream-settings.js';

export const settingsSchema = z
  .strictObject({
    admin: adminSchema.prefault({}).describe('Control API and status page.'),
    log: logSchema.prefault({}).describe('JSON lines on standard error; readable ones when it is a terminal.'),
    store: storeSchema.prefault({}).describe('What outlives the process.'),
    plane: planeSchema.prefault({}).describe('The native data plane.'),
    http: httpSchema.prefault({}).describe("The viewers' HTTP front."),
    objects: objectsSchema.prefault({}).describe('Memory for what the sites hand out.'),
    upstream: upstreamSchema.prefault({}).describe('Connections to sources over HTTP.'),
    sites: sitesSchema.describe('HTTP origins whose objects are fetched once and handed out to many.'),
    channels: channelsSchema.default([]).describe('What is taken in and handed out.'),
    flows: flowsSchema.describe('Packets of one origin, sent on to any number of receivers as they are.'),
    interfaces: interfacesSchema.describe(
      'Network devices between which multicast is routed, and who may receive what there.',
    ),
    membership: membershipSchema.prefault({}).describe('Multicast routing for all interfaces.'),
  })
  .meta({ title: 'Sluice configuration' });

/** Frozen through and through when it comes from a file. */
export type Settings = Readonly<z.output<typeof settingsSchema>>;

const rules: Rules<typeof settingsSchema> = {
  schema: settingsSchema,
  cross: (data) => [
    ...findCollisions(data),
    ...findNothing(data),
    ...findStrangers(data),
    ...findHidden(data),
    ...findMissingLoops(data),
  ],
};

/** Reads and checks a configuration file; throws CONFIG_UNREADABLE or CONFIG_INVALID. */
export function loadSettings(file: string): Promise<Settings> {
  return loadConfig(file, rules);
}

/** Checks the text of a configuration file; throws CONFIG_INVALID. */
export function parseSettings(text: string, file: string): Settings {
  return parseConfig(text, file, rules);
}

interface Listener {
  readonly path: readonly (string | number)[];
  readonly text: string;
  readonly endpoint: Endpoint;
}

/** A daemon that hands out nothing is a mistake in the file. */
function findNothing(data: unknown): Finding[] {
  const { channels, sites, flows, interfaces } = (data ?? {}) as Record<string, unknown>;
  const empty = (list: unknown): boolean => list === undefined || (Array.isArray(list) && list.length === 0);
  const relay = valueAt(data, 'http', 'relay');
  if (
    !empty(channels) ||
    !empty(sites) ||
    !empty(flows) ||
    !empty(interfaces) ||
    (relay !== undefined && relay !== null)
  )
    return [];
  return [{ path: ['channels'], message: 'expected at least one channel, site, flow or interface, or http.relay' }];
}

/** Flows of renditions that there are not. */
function findStrangers(data: unknown): Finding[] {
  const { channels, flows } = (data ?? {}) as Record<string, unknown>;
  const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  const idOf = (value: unknown): string => String((value as { id?: unknown } | null)?.id);
  const known = list(channels).flatMap((channel) =>
    list((channel as { renditions?: unknown } | null)?.renditions).map((one) => `${idOf(channel)}/${idOf(one)}`),
  );
  return list(flows).flatMap((flow, at): Finding[] => {
    const channel = (flow as { channel?: unknown } | null)?.channel;
    if (typeof channel !== 'string' || known.includes(channel)) return [];
    const message = `there is no such rendition (expected one of ${known.slice(0, 20).join(', ') || 'a channel'}, got ${channel})`;
    return [{ path: ['flows', at, 'channel'], message }];
  });
}

/** A site that nobody would get to. */
function findHidden(data: unknown): Finding[] {
  const sites = (data as { readonly sites?: unknown } | null)?.sites;
  const relay = valueAt(data, 'http', 'relay');
  if (relay === undefined || relay === null || !Array.isArray(sites)) return [];
  return sites.flatMap((_, at) => {
    const prefix = valueAt(sites, String(at), 'prefix') ?? `/${String(valueAt(sites, String(at), 'id'))}/`;
    if (typeof prefix !== 'string' || !/^\/(udp|rtp)\//.test(prefix)) return [];
    return [
      { path: ['sites', at, 'prefix'], message: 'expected another prefix: /udp/ and /rtp/ are those of http.relay' },
    ];
  });
}

/** Channels that are placed on a loop that is not there. */
function findMissingLoops(data: unknown): Finding[] {
  const written = valueAt(data, 'plane', 'loops') ?? 1;
  const loops = Array.isArray(written) ? written.length : written;
  const { channels } = (data ?? {}) as Record<string, unknown>;
  if (typeof loops !== 'number' || !Array.isArray(channels)) return [];
  return channels.flatMap((channel: unknown, at) => {
    const loop = typeof channel === 'object' && channel !== null ? (channel as Record<string, unknown>)['loop'] : null;
    if (typeof loop !== 'number' || loop < loops) return [];
    const message = `there is no such loop (expected one of the ${loops} of plane.loops, counted from 0; got ${loop})`;
    return [{ path: ['channels', at, 'loop'], message }];
  });
}

/** TCP listeners that would take each other's port. The data is what was written, checked by nothing yet. */
function findCollisions(data: unknown): Finding[] {
  const admin = valueAt(data, 'admin', 'listen');
  const http = valueAt(data, 'http', 'listen');
  const tls = valueAt(data, 'http', 'tls');
  const listeners = [
    ...listenerOf(['admin', 'listen'], admin),
    ...(Array.isArray(http) ? http.flatMap((text: unknown, at) => listenerOf(['http', 'listen', at], text)) : []),
    ...(Array.isArray(tls)
      ? tls.flatMap((_, at) => listenerOf(['http', 'tls', at, 'listen'], valueAt(tls, String(at), 'listen')))
      : []),
  ];
  return listeners.flatMap((one, at) => {
    const other = listeners.slice(0, at).find((earlier) => sharePort(earlier.endpoint, one.endpoint));
    if (other === undefined) return [];
    const message = `the port is already used by ${other.path.join('.')} (expected an address and port of its own, got ${one.text})`;
    return [{ path: one.path, message }];
  });
}

function valueAt(data: unknown, part: string, key: string): unknown {
  const inner = typeof data === 'object' && data !== null ? (data as Record<string, unknown>)[part] : undefined;
  return typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[key] : undefined;
}

function listenerOf(path: readonly (string | number)[], text: unknown): Listener[] {
  const endpoint = typeof text === 'string' ? parseEndpoint(text) : undefined;
  return endpoint === undefined || typeof text !== 'string' ? [] : [{ path, text, endpoint }];
}
