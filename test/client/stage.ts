/** What the tests of the client share: a broker, names of their own, and clients that are closed at the end. */
import { after } from 'node:test'
import { type Client, type ConnectOptions, connect, WarrenError } from '../../src/client/index.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { rejection } from '../support/eventually.ts'

export const broker = await BrokerProcess.start()
const clients: Client[] = []
const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

/** Quick to come back, so that tests are. */
export const quick: ConnectOptions = { reconnect: { initialMs: 20, maxMs: 200 } }

after(async () => {
  await Promise.all(clients.map((client) => client.close({ timeoutMs: 1_000 })))
  await broker.stop()
  if (unhandled.length > 0) throw new Error(`${unhandled.length} unhandled rejections`, { cause: unhandled[0] })
})

export async function open(
  options: ConnectOptions = quick,
  url: string | readonly string[] = broker.url,
): Promise<Client> {
  const client = await connect(url, options)
  clients.push(client)
  return client
}

const run = Date.now().toString(36)
let count = 0

/** A name nobody else uses, also in a broker that others use. */
export function name(what: string): string {
  return `client-test.${run}.${count++}.${what}`
}

/** The error with which it rejects, which must be ours. */
export async function warrenError(promise: Promise<unknown>): Promise<WarrenError> {
  const error = await rejection(promise)
  if (error instanceof WarrenError) return error
  throw error
}
