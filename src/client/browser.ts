/** `warrenmq/client` in browsers: over WebSockets, without anything of Node. */
import { WaitingClock } from '../base/waiting-clock.ts'
import { WebRandom } from '../base/web-random.ts'
import { type Client, connectWith } from './client.ts'
import { AmqpClientDriver } from './driver/amqp-client-driver.ts'
import { dialWebSocket } from './driver/web-socket-dial.ts'
import type { ClientOptions } from './options.ts'
import { webCompression } from './web-compression.ts'

export * from './public.ts'

/** Connects to a broker, or to one of several: `wss://user:password@host/path?vhost=name`. */
export function connect(urls: string | readonly string[], options: ClientOptions = {}): Promise<Client> {
  const clock = new WaitingClock()
  const driver = new AmqpClientDriver({ clock, dial: dialWebSocket })
  return connectWith(urls, options, { clock, random: new WebRandom(), driver, compression: webCompression })
}
