/** Numbers as an engineer reads them. Every function gives a short, stable width: three significant digits and a unit. */

const DECIMAL = ['', 'k', 'M', 'G', 'T'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Non-breaking, so that a unit never stands alone on a line. */
const SPACE = '\u00a0';

function scaled(value: number, base: number): { readonly digits: string; readonly power: number } {
  let power = 0;
  let rest = Math.abs(value);
  // 999.5 would be written as 1000 with three digits.
  while (rest >= base - 0.5 && power < 4) {
    rest /= base;
    power += 1;
  }
  const decimals = power === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return { digits: `${value < 0 ? '−' : ''}${rest.toFixed(decimals)}`, power };
}

/** Bits a second: `3.21 Mbit/s`. */
export function rate(bitsPerSecond: number): string {
  const { digits, power } = scaled(bitsPerSecond, 1000);
  return `${digits}${SPACE}${DECIMAL[power]}bit/s`;
}

/** Bytes: `31.4 MiB`. */
export function bytes(value: number): string {
  const { digits, power } = scaled(value, 1024);
  return `${digits}${SPACE}${BINARY[power]}`;
}

/** A count: `12 345`, or `1.23 M` from a million on. */
export function count(value: number): string {
  if (value < 1e6) return Math.round(value).toLocaleString('en').replaceAll(',', '\u202f');
  const { digits, power } = scaled(value, 1000);
  return `${digits}${SPACE}${DECIMAL[power]}`;
}

/** Milliseconds: `0.42 ms`, `340 ms`, `1.20 s`. */
export function milliseconds(value: number): string {
  if (Math.abs(value) >= 999.5) return `${(value / 1000).toFixed(2)}${SPACE}s`;
  return `${value.toFixed(Math.abs(value) >= 99.5 ? 0 : Math.abs(value) >= 9.95 ? 1 : 2)}${SPACE}ms`;
}

/** Seconds as the two largest units: `3 d 4 h`, `12 min 5 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  const shown = first === -1 ? parts.slice(3) : parts.slice(first, first + 2);
  return shown.map(([value, unit]) => `${value}${SPACE}${unit}`).join(' ');
}

/** A ratio of what goes out to what comes in: `48.2 ×`; a dash while nothing comes in. */
export function ratio(outgoing: number, incoming: number): string {
  if (incoming <= 0) return '–';
  const value = outgoing / incoming;
  return `${value.toFixed(value >= 99.95 ? 0 : 1)}${SPACE}×`;
}

/** One or many of a noun: `1 connection`, `2 connections`, `2 retries`. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${count(value)}${SPACE}${value === 1 ? noun : many}`;
}

/** Host and rest of a URL, each for a line of its own. */
export function splitUrl(url: string): { readonly host: string; readonly path: string } {
  const match = /^([a-z]+):\/\/([^/?#]+)(.*)$/i.exec(url);
  return { host: match?.[2] ?? url, path: match?.[3] === '' ? '/' : (match?.[3] ?? '') };
}
