// A host of a multicast lab:
//   multicast-host.js send INTERFACE PORT EVERY_MS SOURCE GROUP...       sends numbered datagrams to every group
//   multicast-host.js receive INTERFACE PORT ADDRESS GROUP[/SOURCE]...   joins, prints ten times a second what came by now
//
// A line of the receiver: [{"group","source","packets","missing","again"}], counts since the start; `missing` are numbers between
// the first and the last that did not come, `again` those that came more than once.
import { createSocket, type Socket } from 'node:dgram';

const [mode, device = '', port = '0', ...rest] = process.argv.slice(2);
const REPORT_MS = 100;

/** As much as an ordinary machine allows: half a second of a thousand packets a second. */
const RECEIVE_BUFFER = 212_992;

function open(address: string): Socket {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  return createSocket({ type, reuseAddr: true, recvBufferSize: RECEIVE_BUFFER });
}

/** The interface of a membership as libuv takes it: for IPv6 by its name, for IPv4 by its address. */
function via(group: string, address: string): string {
  return group.includes(':') ? `::%${device}` : address;
}

function send([everyMs = '10', source = '', ...groups]: readonly string[]): void {
  const socket = open(source);
  let number = 0;
  socket.bind(0, source, () => {
    socket.setMulticastTTL(8);
    socket.setMulticastInterface(via(source, source));
    const began = performance.now();
    // A timer that is late is made up for: it is so many a second on a busy machine, too.
    setInterval(() => {
      for (const due = (performance.now() - began) / Number(everyMs); number < due; number++) {
        const message = Buffer.alloc(64);
        message.writeUInt32BE(number);
        for (const group of groups) socket.send(message, Number(port), group);
      }
    }, Number(everyMs));
  });
}

interface Heard {
  readonly group: string;
  readonly source: string;
  readonly numbers: Set<number>;
  packets: number;
  least: number;
  most: number;
}

class Ears {
  readonly #heard = new Map<string, Heard>();

  take(group: string, source: string, message: Buffer): void {
    const key = `${group} ${source}`;
    const number = message.readUInt32BE();
    const heard = this.#heard.get(key) ?? {
      group,
      source,
      numbers: new Set(),
      packets: 0,
      least: number,
      most: number,
    };
    this.#heard.set(key, heard);
    heard.numbers.add(number);
    heard.packets++;
    heard.least = Math.min(heard.least, number);
    heard.most = Math.max(heard.most, number);
  }

  line(): string {
    const all = [...this.#heard.values()].map(({ group, source, numbers, packets, least, most }) => {
      const missing = most - least + 1 - numbers.size;
      return { group, source, packets, missing, again: packets - numbers.size };
    });
    return JSON.stringify(all);
  }
}

function receive([address = '', ...channels]: readonly string[]): void {
  const ears = new Ears();
  const sockets = new Map<string, Promise<Socket>>();
  for (const channel of channels) {
    const [group = '', source] = channel.split('/', 2);
    // A socket bound to the group hears nothing else.
    const bound =
      sockets.get(group) ??
      new Promise<Socket>((resolve) => {
        const socket = open(group);
        socket.on('message', (message, from) => ears.take(group, from.address, message));
        socket.bind(Number(port), group, () => resolve(socket));
      });
    sockets.set(group, bound);
    void bound.then((socket) => {
      if (source === undefined) socket.addMembership(group, via(group, address));
      else socket.addSourceSpecificMembership(source, group, via(group, address));
    });
  }
  setInterval(() => console.log(ears.line()), REPORT_MS);
}

if (mode === 'send') send(rest);
else receive(rest);
