import type { Socket } from 'node:net';

/** An answer's head as it is written, good or bad. */
export const head = (fields: string, status = '200 OK') =>
  `HTTP/1.1 ${status}\r\n${fields}${fields === '' ? '' : '\r\n'}\r\n`;

/** An answer with its length. */
export const whole = (body: string | Buffer, type: string, status?: string) =>
  Buffer.concat([
    Buffer.from(head(`Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}`, status)),
    Buffer.from(body),
  ]);

/** Writes for as long as the other side takes it, so many bytes at most. */
export function pour(socket: Socket, piece: () => Buffer, mostBytes: number, everyMs = 5): void {
  let sent = 0;
  const timer = setInterval(() => {
    if (socket.destroyed || sent >= mostBytes) {
      clearInterval(timer);
      socket.end();
      return;
    }
    if (socket.writableLength > 2 ** 20) return;
    const bytes = piece();
    sent += bytes.length;
    socket.write(bytes);
  }, everyMs);
}
