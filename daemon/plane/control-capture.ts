/** IGMP, MLD and PIM of devices, received and sent, as the bytes of a pcapng. */
import { loadAddon } from './addon.js';
import { native } from './native-errors.js';

export interface ControlCaptureOptions {
  /** Devices; those that are not there are left out unless none is. At most 64. */
  readonly interfaces: readonly string[];
  /** It is full after so many; 0 for no limit. */
  readonly maxPackets: number;
  /** Of the file, its end not counted; at least 64 KiB. */
  readonly maxBytes: number;
  /** For the file's header. */
  readonly application: string;
}

export interface ControlCaptureStatus {
  readonly packets: number;
  /** On the wire. */
  readonly bytes: number;
  /** Frames for which there was no room, as nobody read in time. */
  readonly dropped: number;
  /** A limit is reached: only finish() is left. */
  readonly full: boolean;
}

/** What comes waits in buffers of the kernel, some 10,000 messages for each device, until it is read. No call waits. */
export interface ControlCapture {
  /** Whole blocks: the beginning of the file, then what has come since; empty when nothing has. */
  read(): Uint8Array;
  /** What comes from now on is not taken any more. */
  stop(): void;
  /** What came last, and the end of the file. */
  finish(): Uint8Array;
  /** Of all that was read; of the whole once it is closed. */
  status(): ControlCaptureStatus;
  /** Idempotent. */
  close(): void;
}

/** @throws SluiceError INTERFACE_UNKNOWN, SYSTEM_CALL (CAP_NET_RAW is missing), USAGE */
export function openControlCapture(options: ControlCaptureOptions): ControlCapture {
  return native(() => new (loadAddon().ControlCapture)(options));
}
