/** Connects to a broker that may be down just now. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Address, type Arrival, RawClient } from '../support/amqp/raw-client.ts'

/** Tried again after this long. */
const retryMs = 15

/** A client with channel 1 open, or null after a short pause: the broker is down, or dies in the middle. */
export async function reconnect(address: Address): Promise<RawClient | null> {
  try {
    return await RawClient.withChannel(address)
  } catch {
    // Every reason is the same here: it is not up yet, or not any more.
    await pause(retryMs)
    return null
  }
}

/** How long a broker may say nothing to somebody who waits for it, in milliseconds. */
const patienceMsMax = 60_000
const silenceMsMax = 8_000
const ended: Arrival = {
  name: 'end',
  channel: 0,
  args: {},
  properties: {},
  rawProperties: Buffer.alloc(0),
  body: Buffer.alloc(0),
  bodyFrames: [],
}

/** What has come next. A tolerant client takes a broker that says nothing for some seconds for one that is gone. */
export async function nextOrEnd(client: RawClient, isTolerant: boolean): Promise<Arrival> {
  const next = client.next(1, isTolerant ? silenceMsMax : patienceMsMax)
  return isTolerant ? await next.catch(() => ended) : await next
}

/** What a node says that can no longer serve a channel, a consumer or the whole connection. */
export function isFarewell({ name }: Arrival): boolean {
  return name === 'basic.cancel' || name === 'channel.close' || name === 'connection.close'
}
