import { connect, type Socket } from 'node:net';

const PACKET = 188;
/** More than the tables and a picture. */
const KEPT = 32 * 1024;

/** A viewer on a connection of its own that asks at once, and keeps the beginning of what it gets. */
export class RawViewer {
  #got = Buffer.alloc(0);
  readonly #socket: Socket;
  /** Bytes in all. */
  bytes = 0;
  closed = false;
  /** The connection was reset, or could not be made. */
  failed = false;

  constructor(url: string, method = 'GET') {
    const { hostname, port, pathname } = new URL(url);
    this.#socket = connect(Number(port), hostname);
    this.#socket.write(`${method} ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    this.#socket.on('data', (piece: Buffer) => {
      this.bytes += piece.length;
      if (this.#got.length < KEPT) this.#got = Buffer.concat([this.#got, piece]);
    });
    this.#socket.on('error', () => {
      this.failed = true;
    });
    this.#socket.on('close', () => {
      this.closed = true;
    });
  }

  get head(): string {
    return this.#got.toString('latin1').split('\r\n\r\n', 1)[0] ?? '';
  }

  /** Of the answer, or 0. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(this.head)?.[1] ?? 0);
  }

  /** The beginning of the body. */
  get body(): Buffer {
    const end = this.#got.indexOf('\r\n\r\n');
    return end < 0 ? Buffer.alloc(0) : this.#got.subarray(end + 4);
  }

  /** The first packets are PAT, PMT and a picture that a decoder can begin with (random_access_indicator). */
  get beginsWell(): boolean {
    const packet = (n: number): Buffer => this.body.subarray(n * PACKET, (n + 1) * PACKET);
    const pid = (n: number): number => packet(n).readUInt16BE(1) & 0x1fff;
    if (this.body.length < 3 * PACKET || ![0, 1, 2].every((n) => packet(n)[0] === 0x47)) return false;
    return pid(0) === 0 && pid(1) === 0x1000 && pid(2) === 0x100 && ((packet(2)[5] ?? 0) & 0x40) !== 0;
  }

  close(): void {
    this.#socket.destroy();
  }
}
