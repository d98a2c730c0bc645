/**
 * AMQP over WebSocket, in browsers and in Node where it has one (22 and later). Each message holds whole frames; what
 * comes may be cut anywhere.
 */
import { WarrenError } from '../errors.ts'
import type { ByteReader, ByteStream } from './byte-stream.ts'
import type { ConnectTarget } from './driver.ts'

/** As much of the browser's WebSocket as is used here. */
export interface WebSocketLike {
  binaryType: string
  send(bytes: Uint8Array): void
  close(): void
  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void
}

export interface WebSocketEvent {
  readonly data?: unknown
  readonly code?: number
  readonly message?: string
}

export type WebSocketConstructor = new (url: string, protocols: string) => WebSocketLike

/** The subprotocol RabbitMQ, LavinMQ and Warren know. */
const subprotocol = 'amqp'

export function dialWebSocket(target: ConnectTarget, signal: AbortSignal): Promise<ByteStream> {
  const given = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
  if (given === undefined) {
    const mend = 'Use an amqp:// URL, or Node 22 or later.'
    const error = new WarrenError('BAD_URL', `There is no WebSocket here for ${target.label}.`, { mend })
    return Promise.reject(error)
  }
  return openWebSocket(new given(target.url, subprotocol), signal)
}

export function openWebSocket(socket: WebSocketLike, signal: AbortSignal): Promise<ByteStream> {
  socket.binaryType = 'arraybuffer'
  let reader: ByteReader | null = null
  const early: Uint8Array[] = []
  let isClosed = false
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      socket.close()
      reject(signal.reason)
    }
    const ended = (error: Error): void => {
      signal.removeEventListener('abort', abort)
      reject(error)
      if (isClosed) return
      isClosed = true
      reader?.closed(error)
    }
    signal.addEventListener('abort', abort)
    if (signal.aborted) abort()
    socket.addEventListener('message', (event) => {
      const bytes = bytesOf(event.data)
      if (reader === null) early.push(bytes)
      else reader.data(bytes)
    })
    socket.addEventListener('error', (event) => ended(new Error(event.message ?? 'the WebSocket failed')))
    socket.addEventListener('close', (event) => ended(new Error(`the WebSocket was closed (${event.code ?? 1006})`)))
    socket.addEventListener('open', () => {
      signal.removeEventListener('abort', abort)
      resolve({
        open: (given) => {
          reader = given
          for (const bytes of early.splice(0)) given.data(bytes)
          if (isClosed) given.closed(null)
        },
        write: (bytes) => {
          if (!isClosed) socket.send(bytes)
        },
        end: () => socket.close(),
        destroy: () => socket.close(),
      })
    })
  })
}

/** Text is no AMQP: it becomes bytes that are none either, and ends the connection. */
function bytesOf(data: unknown): Uint8Array {
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new TextEncoder().encode(String(data))
}
