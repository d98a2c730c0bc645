import type { ConnectTarget } from './driver.ts'

/** Bytes to and from a broker, over whatever there is: TCP, TLS, a WebSocket, a pair inside the process. */
export interface ByteStream {
  /** Once; what has arrived before is kept. */
  open(reader: ByteReader): void
  /** In order, whole frames; the bytes belong to the stream. */
  write(bytes: Uint8Array): void
  /** Says that nothing more comes; `closed` follows when the other side has ended too. */
  end(): void
  /** Drops it at once. `closed` may follow. */
  destroy(): void
}

export interface ByteReader {
  data(chunk: Uint8Array): void
  /** At least once, also after `destroy`. Null: ended by the peer. */
  closed(error: Error | null): void
}

/** Opens a stream; rejects with the system's error. Ends the attempt when the signal is aborted. */
export type Dial = (target: ConnectTarget, signal: AbortSignal) => Promise<ByteStream>
