/** `warrenmq/client` in Node. */
import { type Client, connectWith } from './client.ts'
import { type ConnectOptions, nodePlatform } from './node-platform.ts'
import { withTracing } from './telemetry.ts'

export type { TlsOptions } from './driver/node-dial.ts'
export type { ConnectOptions } from './node-platform.ts'
export * from './public.ts'

/**
 * Connects to a broker, or to one of several: `amqp://user:password@host/vhost`, `amqps://…`, `ws://…`, `wss://…`.
 * Rejects with a `WarrenError` when none can be reached; from then on it reconnects by itself.
 */
export async function connect(urls: string | readonly string[], options: ConnectOptions = {}): Promise<Client> {
  const hooks = await withTracing(options.hooks)
  return connectWith(urls, hooks === undefined ? options : { ...options, hooks }, nodePlatform(options))
}
