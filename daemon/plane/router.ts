/** The TypeScript face of the multicast router. */
import { loadAddon } from './addon.js';
import type { Family, RouterApi, RouterEvent, RouterOptions } from './contract-router.js';
import { native } from './native-errors.js';

/**
 * Opens the tables of the families and starts the router's thread.
 * @throws SluiceError ADDON_MISSING, ROUTING_REFUSED, ROUTING_TABLE_TAKEN, ROUTING_UNSUPPORTED, SYSTEM_CALL
 */
export function createRouter(options: RouterOptions): RouterApi {
  const handlers = new Set<(event: RouterEvent) => void>();
  const raw = native(
    () =>
      new (loadAddon().Router)(options, (events) => {
        for (const event of events) for (const handler of handlers) handler(event);
      }),
  );
  const families: Family[] = [
    ...(options.ipv4 === null ? [] : ([4] as const)),
    ...(options.ipv6 === null ? [] : ([6] as const)),
  ];
  return {
    families,
    onEvent: (handler) => {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
    addInterface: (family, one) => native(() => raw.addInterface(family, one)),
    setInterface: (family, one) => raw.setInterface(family, one),
    removeInterface: (family, name) => raw.removeInterface(family, name),
    setAdmission: (family, name, admission) => raw.setAdmission(family, name, admission),
    setStatic: (family, name, channel, present) => raw.setStatic(family, name, channel, present),
    authorise: (family, name, leases) => raw.authorise(family, name, leases),
    revoke: (family, name, channels) => raw.revoke(family, name, channels),
    keep: (family, group, wanted) => raw.keep(family, group, wanted),
    interfaces: (family) => raw.interfaces(family),
    groups: (family) => raw.groups(family),
    refusals: (family) => raw.refusals(family),
    routes: (family) => raw.routes(family),
    neighbours: (family) => raw.neighbours(family),
    trees: (family) => raw.trees(family),
    kept: (family) => raw.kept(family),
    rps: (family) => raw.rps(family),
    status: (family) => raw.status(family),
    rpf: (family, address) => raw.rpf(family, address),
    lostEvents: () => raw.lostEvents(),
    withdraw: () => raw.withdraw(),
    close: () => raw.close(),
  };
}
