// Captures and endless clips for JavaScript: `readCapture` and `TsClip`. No state, no threads.
#pragma once

#include <napi.h>

namespace sluice::addon {

/**
 * Adds to `exports`:
 *
 *   readCapture(path: string): {flows: CaptureFlow[], damage: string | null}   (daemon/plane/contract.ts)
 *   scanCapture(path: string): CaptureSummary                                  (daemon/plane/contract.ts)
 *   class TsClip {
 *     constructor(ts: Uint8Array, options: {segmentMs: number})
 *     info(): TsClipInfo                                         (daemon/plane/captures.ts)
 *     render(segment: number, loop: number): Uint8Array
 *   }
 *
 * Both throw an Error with a `code`: CAPTURE_INVALID, CAPTURE_EMPTY, SYSTEM_CALL, or MEMORY_BUDGET when
 * memory is short; a TypeError or RangeError where an argument is not what the declaration says.
 */
void init_capture(Napi::Env env, Napi::Object exports);

}  // namespace sluice::addon
