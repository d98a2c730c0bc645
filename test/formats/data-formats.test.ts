/**
 * Data directories of brokers of earlier versions, killed with work in hand. Each must open with everything in it, now and
 * in later versions; `docs/formats/` describes what is in them. Files stand here without the zeros at their ends, which
 * `sizes.json` gives back; `__` stands for `/` in their names.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { type Channel, connect, type GetMessage } from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { projectRoot } from '../support/project-root.ts'

/** Runs `check` with a channel of a broker that has opened a copy of the saved directory. */
async function withSaved(name: string, check: (channel: Channel) => Promise<void>): Promise<void> {
  const folder = join(projectRoot, 'test', 'formats', name)
  const dataDirectory = mkdtempSync(join(tmpdir(), 'warren-format-'))
  const sizes = JSON.parse(readFileSync(join(folder, 'sizes.json'), 'utf8')) as Record<string, number>
  for (const [file, bytes] of Object.entries(sizes)) {
    const path = join(dataDirectory, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, readFileSync(join(folder, file.replaceAll('/', '__'))))
    truncateSync(path, bytes)
  }
  const broker = await BrokerProcess.start({ dataDirectory })
  try {
    const connection = await connect(broker.url)
    await check(await connection.createChannel())
    await connection.close()
  } finally {
    await broker.stop()
    rmSync(dataDirectory, { recursive: true, force: true })
  }
}

async function take(channel: Channel, queue: string): Promise<GetMessage> {
  const message = await channel.get(queue)
  assert.ok(message !== false, `${queue} is empty`)
  channel.ack(message)
  return message
}

async function takeTexts(channel: Channel, queue: string, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) texts.push((await take(channel, queue)).content.toString())
  assert.equal(await channel.get(queue), false, `${queue} has more than ${count}`)
  return texts
}

const numbered = (text: string, from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${text} ${from + index}`)

describe('a saved data directory', () => {
  test('1, of plain messages without a time of arrival, has everything', async () => {
    await withSaved('data-1', async (channel) => {
      for (const text of numbered('plain', 0, 20)) {
        assert.equal((await take(channel, 'plain')).content.toString(), text)
      }
      const large = await take(channel, 'plain')
      assert.equal(large.properties.messageId, 'large')
      assert.deepEqual(large.content, Buffer.alloc(200_000, 'a'))
      assert.deepEqual(await takeTexts(channel, 'settled', 10), numbered('settled', 10, 10))
    })
  })

  test('2, of messages that waited, failed, died and stood in lanes, has everything', async () => {
    await withSaved('data-2', async (channel) => {
      assert.deepEqual(await takeTexts(channel, 'lanes', 6), ['p5', 'p4', 'p3', 'p2', 'p1', 'p0'])
      const dead = await take(channel, 'dead')
      assert.equal(dead.content.toString(), 'dies')
      assert.equal(dead.properties.headers?.['x-first-death-reason'], 'rejected')
      const failed = await take(channel, 'mortal')
      assert.equal(failed.content.toString(), 'fails')
      assert.equal(failed.properties.headers?.['x-delivery-count'], 2)
      assert.deepEqual(await takeTexts(channel, 'once', 2), ['a', 'b'])
      channel.sendToQueue('once', Buffer.from('a again'), { messageId: 'a' })
      channel.sendToQueue('once', Buffer.from('c'), { messageId: 'c' })
      assert.equal((await channel.checkQueue('once')).messageCount, 1, 'ids are remembered')
      assert.equal((await channel.checkQueue('retried')).messageCount, 0, 'it waits for its next attempt')
      assert.equal((await channel.purgeQueue('retried')).messageCount, 1)
      const texts: string[] = []
      for (let count = 0; count < 23; count++) {
        const { content } = await take(channel, 'plain')
        texts.push(content.length > 1_000 ? 'large' : content.toString())
      }
      assert.deepEqual(texts, [...numbered('plain', 0, 20), 'large', 'grouped', 'long ago due'])
      assert.equal(await channel.get('plain'), false, 'one has expired, one is due in years')
    })
  })
})
