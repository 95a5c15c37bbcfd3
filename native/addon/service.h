// The service manager and the host for JavaScript. No state, no threads.
#pragma once

#include <napi.h>

namespace sluice::addon {

/**
 * Adds to `exports`:
 *
 *   notifyService(socket: string, state: string, descriptors: number[]): void    sd_notify(3); never waits
 *   inheritListener(fd: number): string | null      `ADDRESS:PORT` where it listens; closed on exec from now
 * on dropInherited(fd: number): void                 closes it, also where the service manager holds it
 *   udpOffload(): {segmentation: boolean, coalescing: boolean}
 *
 * `notifyService` throws an Error with a `code`.
 */
void init_service(Napi::Env env, Napi::Object exports);

}  // namespace sluice::addon
