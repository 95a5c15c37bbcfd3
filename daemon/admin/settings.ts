import { z } from 'zod';
import { listenAddress, socketPath } from '../config/units.js';

/** Where the admin API listens when the operator says nothing. */
export const DEFAULT_ADMIN = { address: '127.0.0.1', port: 9480, socket: '/run/sluice/admin.sock' } as const;

/** Whether a numeric address stays on this machine: 127.0.0.0/8 (RFC 1122 section 3.2.1.3) or ::1 (RFC 4291 section 2.5.3). */
export function isLoopback(address: string): boolean {
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address) || address === '::1';
}

/** `admin:` of the configuration. What is left out is told apart from what is named: only defaults may give way. */
export const adminSchema = z.strictObject({
  listen: listenAddress
    .refine(({ address }) => isLoopback(address), {
      error:
        'expected a loopback address, such as 127.0.0.1:9480: off-box access needs TLS and tokens, which are not supported yet (use ssh -L 9480:127.0.0.1:9480)',
    })
    .optional()
    .describe(
      'Address of the admin API and the status page; 127.0.0.1:9480 unless given, or a free port when that is taken.',
    ),
  socket: socketPath
    .nullable()
    .optional()
    .describe('Unix socket of the admin API, mode 0660; /run/sluice/admin.sock unless given, null for none.'),
});
export type AdminConfig = z.output<typeof adminSchema>;
