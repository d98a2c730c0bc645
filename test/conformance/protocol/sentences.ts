/**
 * How the protocol's sentences are proved: each is one test, named by the sentence, with fresh clients that are dropped
 * at its end, against the one broker of the file.
 *
 * Against another broker than Warren those sentences are left to Warren alone on which the two are known to differ
 * (`rabbitmq-3.10-differences.json`, with the reasons). A title in that list that no test has is an error.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Address, type Handshake, RawClient } from '../../support/amqp/raw-client.ts'
import { projectRoot } from '../../support/project-root.ts'

const differencesFile = 'test/conformance/rabbitmq-3.10-differences.json'

/** One part of that list for each file of sentences. */
export type Part = 'protocol' | 'extensions' | 'streams'

/** What a sentence's test may use. */
export interface Stage {
  readonly address: Address
  /** A client with channel 1 open. */
  client(options?: Handshake): Promise<RawClient>
  /** A client that only has a TCP connection. */
  dial(): Promise<RawClient>
  /** A name nobody else uses. */
  name(word: string): string
  /** At the test's end this queue is deleted: for those that do not go with their connection. */
  deleteLater(queue: string): void
}

export interface Broker extends Address {
  readonly isExternal: boolean
}

export class Sentences {
  readonly #broker: Broker
  readonly #differences: Readonly<Record<string, string>>
  readonly #titles = new Set<string>()

  constructor(broker: Broker, part: Part = 'protocol') {
    this.#broker = broker
    const parts: Partial<Record<Part, Record<string, string>>> = JSON.parse(
      readFileSync(join(projectRoot, differencesFile), 'utf8'),
    )
    this.#differences = parts[part] ?? {}
  }

  /** Registers the test of one sentence. */
  prove(title: string, body: (stage: Stage) => Promise<void>): void {
    assert.ok(!this.#titles.has(title), `two tests prove '${title}'`)
    this.#titles.add(title)
    if (this.#broker.isExternal && title in this.#differences) return
    void test(title, async () => {
      const clients: RawClient[] = []
      const queues: string[] = []
      const keep = (client: RawClient): RawClient => {
        clients.push(client)
        return client
      }
      const address = this.#broker
      try {
        await body({
          address,
          client: async (options) => keep(await RawClient.withChannel(address, options)),
          dial: async () => keep(await RawClient.dial(address)),
          name: (word) => `${word}-${randomBytes(6).toString('hex')}`,
          deleteLater: (queue) => queues.push(queue),
        })
      } finally {
        for (const client of clients) client.destroy()
        if (queues.length > 0) await deleteQueues(address, queues)
      }
    })
  }

  /** The same for what only Warren has: left out against any other broker. */
  own(title: string, body: (stage: Stage) => Promise<void>): void {
    if (!this.#broker.isExternal) this.prove(title, body)
  }

  /** The last test: the list of differences names real sentences only. */
  proveTheListOfDifferences(): void {
    void test('each known difference from RabbitMQ 3.10 belongs to a sentence that is proved here', () => {
      const unknown = Object.keys(this.#differences).filter((title) => !this.#titles.has(title))
      assert.deepEqual(unknown, [], `${differencesFile} names sentences that no test has`)
    })
    if (!this.#broker.isExternal) return
    const left = Object.keys(this.#differences)
    console.error(`NOT run against this broker, where it is known to differ (${differencesFile}):`)
    for (const title of left) console.error(`  - ${title}: ${this.#differences[title]}`)
  }
}

async function deleteQueues(address: Address, queues: readonly string[]): Promise<void> {
  const client = await RawClient.withChannel(address)
  for (const queue of queues) await client.call(1, 'queue.delete', { queue })
  client.destroy()
}
