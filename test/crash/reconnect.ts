/** Connects to a broker that may be down just now. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'

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
