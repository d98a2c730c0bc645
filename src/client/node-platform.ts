import type { Duplex } from 'node:stream'
import { WaitingClock } from '../base/waiting-clock.ts'
import { WebRandom } from '../base/web-random.ts'
import type { Platform } from './core.ts'
import { AmqpClientDriver } from './driver/amqp-client-driver.ts'
import type { Dial } from './driver/byte-stream.ts'
import { duplexStream, nodeDial, type TlsOptions } from './driver/node-dial.ts'
import { nodeCompression } from './node-compression.ts'
import type { ClientOptions } from './options.ts'

export interface ConnectOptions extends ClientOptions {
  /** For `amqps://` URLs. */
  readonly tls?: TlsOptions
  /** Opens the stream to the broker instead of TCP, TLS or a WebSocket: for a broker inside the process, or a tunnel. */
  readonly openStream?: () => Duplex | Promise<Duplex>
}

/** Real time, real sockets. */
export function nodePlatform({ tls, openStream }: Pick<ConnectOptions, 'tls' | 'openStream'>): Platform {
  const clock = new WaitingClock()
  const dial: Dial = openStream === undefined ? nodeDial(tls ?? {}) : async () => duplexStream(await openStream())
  const driver = new AmqpClientDriver({ clock, dial })
  return { clock, random: new WebRandom(), driver, compression: nodeCompression }
}
