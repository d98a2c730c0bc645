import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { Client } from '../../../src/client/client.ts'
import { Core } from '../../../src/client/core.ts'
import { nodeCompression } from '../../../src/client/node-compression.ts'
import type { ClientOptions } from '../../../src/client/options.ts'
import { FakeDriver } from './fake-driver.ts'

export interface FakeClient {
  readonly client: Client
  readonly core: Core
  readonly driver: FakeDriver
  readonly clock: ManualClock
  /** What was told by the event `error`. */
  readonly errors: string[]
}

/** A client on a fake driver and a clock that stands still, connected. */
export async function fakeClient(options: ClientOptions = {}, urls = ['amqp://one']): Promise<FakeClient> {
  const clock = new ManualClock()
  const driver = new FakeDriver()
  const core = new Core(urls, options, { clock, random: new SeededRandom(1), driver, compression: nodeCompression })
  const client = new Client(core)
  const errors: string[] = []
  client.on('error', ({ doing }) => errors.push(doing))
  await core.consuming.open()
  return { client, core, driver, clock, errors }
}

/** Lets everything run that needs no time. */
export async function turns(count = 5): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve))
}

/** How each promise has settled by now: `ok`, the error's code, or `pending`. */
export async function states(promises: readonly Promise<unknown>[]): Promise<string[]> {
  for (const promise of promises) promise.catch(() => undefined)
  await turns()
  const pending = Symbol('pending')
  return Promise.all(
    promises.map((promise) =>
      Promise.race([promise, Promise.resolve(pending)]).then(
        (value) => (value === pending ? 'pending' : 'ok'),
        (error: { code?: string }) => error.code ?? String(error),
      ),
    ),
  )
}
