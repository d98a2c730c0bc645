/**
 * Stream sockets as the program sees them. `system-network.ts` is the real one, `memory-network.ts` joins two ends
 * inside the process (tests, simulation, embedded use). No names of hosts, no protocol; TLS is below it
 * (`tls-network.ts`, `tls-acceptor.ts`).
 *
 * All sockets of a network read into one buffer, one after the other. So what a reader is given is valid only during
 * the call, and the room before it (`headroomBytes`) is the reader's during the call as well: input that was kept
 * because it was not whole is copied there, and stands in front of what has arrived without moving that.
 */
import type { Arena } from './arena.ts'

export interface Network {
  /** What its read buffer is cut from. Whoever cuts output buffers from it too copies faster. */
  readonly arena: Arena
  /** Listens; port 0 takes a free one. Rejects with the system's error (`EADDRINUSE`, `EACCES`, …). */
  listen(address: ListenAddress, accept: (socket: Socket) => void): Promise<Listener>
  /** Rejects with the system's error (`ECONNREFUSED`, …), or when `signal` is aborted first. */
  connect(host: string, port: number, signal?: AbortSignal): Promise<Socket>
}

export interface ListenAddress {
  /** `*` is every interface, IPv4 and IPv6. */
  readonly host: string
  readonly port: number
}

export interface Listener {
  readonly port: number
  /** Accepts no more; sockets that were accepted stay. */
  close(): void
}

/** What the TLS handshake of a socket has agreed on. */
export interface TlsFacts {
  /** `TLSv1.3`. */
  readonly protocol: string
  /** OpenSSL's name of the cipher suite. */
  readonly cipher: string
  /** The peer's certificate; null when it showed none. One that is not in order ends the handshake. */
  readonly peer: PeerCertificate | null
}

/** A certificate that an authority of ours has signed and that is valid now. */
export interface PeerCertificate {
  /** `CN=anna,O=shop`: for people, never to be compared. */
  readonly subject: string
  readonly issuer: string
  /** Wall times in milliseconds. */
  readonly validFrom: number
  readonly validTo: number
  /** Common names of the subject, and alternative names by kind; what cannot be told apart surely is left out. */
  readonly names: Readonly<Record<'cn' | 'dns' | 'email' | 'uri', readonly string[]>>
}

export interface Socket {
  /** Numeric, IPv4 without the `::ffff:` prefix. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  /** Left out without TLS. */
  readonly tls?: TlsFacts
  /** Gives the socket its reader, once, and starts to read. Without one, nothing is read. */
  open(reader: SocketReader): void
  pause(): void
  resume(): void
  /**
   * Writes all of `bytes` in order; they belong to the socket until `written` is called, which happens exactly once
   * and never before `write` returns. An error means the socket is gone.
   */
  write(bytes: Uint8Array, written: (error: Error | null) => void): void
  /** Says that nothing more will be written, after what has been. Reading goes on. */
  end(): void
  /** Drops the connection at once, with what was not written. `closed` follows. */
  destroy(): void
}

export interface SocketReader {
  /** `buffer[start..end)` has arrived; never more than `readBytesMax`. Must not throw. */
  data(buffer: Uint8Array, start: number, end: number): void
  /** The peer will send no more; it may still read. */
  ended(): void
  /** The socket is gone; last call, exactly once, also after `destroy`. */
  closed(error: Error | null): void
}

/** Largest read, in bytes. */
export const readBytesMax = 256 * 1024

/** Room in front of what is read that the reader may use, in bytes: one frame of 128 KiB and a small message. */
export const headroomBytes = 160 * 1024

/** Size of the buffer all sockets of a network read into. */
export const readBufferBytes = headroomBytes + readBytesMax

/** Numeric address as we show and compare it: IPv4 mapped into IPv6 is IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** Judged by the peer's address: 127.0.0.0/8 and ::1. */
export function isLoopbackAddress(address: string): boolean {
  const plain = plainAddress(address)
  return plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain)
}
