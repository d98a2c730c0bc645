/** What a broker writes belongs to its user alone, whatever the umask lets others do. */
import assert from 'node:assert/strict'
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { RawClient } from '../support/amqp/raw-client.ts'
import { typed } from '../support/amqp/wire.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { eventually } from '../support/eventually.ts'

const groupAndOthers = 0o077
const everythingAllowed = ['sh', '-c', 'umask 000; exec "$@"', 'sh']

void describe('the files of a broker', () => {
  void test('are for its user alone', async () => {
    const broker = await BrokerProcess.start({ prefix: everythingAllowed })
    try {
      const client = await RawClient.withChannel(broker)
      await client.call(1, 'queue.declare', { queue: 'private', durable: true })
      const stream = { 'x-queue-type': typed('S', 'stream') }
      await client.call(1, 'queue.declare', { queue: 'private-stream', durable: true, arguments: stream })
      await client.call(1, 'confirm.select')
      for (const routingKey of ['private', 'private-stream']) {
        client.publish(1, { routingKey, body: 'a secret', properties: { deliveryMode: 2 } })
        assert.equal((await client.next(1)).name, 'basic.ack')
      }
      await client.close()
      await eventually('files of each kind', () => namesBelow(broker.dataDirectory).length > 8)
      const names = namesBelow(broker.dataDirectory)
      assert.ok(names.includes('lock') && names.some((name) => name.endsWith('.segment')), names.join())
      const open = names.filter((name) => isOpenToOthers(join(broker.dataDirectory, name)))
      assert.deepEqual(open, [])
    } finally {
      await broker.stop()
    }
  })
})

function namesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
}

/** What a directory keeps from others is kept, whatever the rights of a socket in it say. */
function isOpenToOthers(path: string): boolean {
  const status = lstatSync(path)
  return !status.isSocket() && (status.mode & groupAndOthers) !== 0
}
