/** What a queue that is full does: drop its oldest, or refuse the newest. Only ready messages and their bodies count. */
import assert from 'node:assert/strict'
import type { Sentences } from './sentences.ts'
import {
  counts,
  deadLetters,
  death,
  deaths,
  declare,
  fill,
  int,
  publish,
  publishTo,
  queueTypes,
  scene,
  take,
  text,
  worked,
} from './steps.ts'

export function limits(sentences: Sentences): void {
  dropHead(sentences)
  whatCounts(sentences)
  rejectPublish(sentences)
  rejectPublishDlx(sentences)
}

const rejecting = { 'x-overflow': 'reject-publish' }

function dropHead(sentences: Sentences): void {
  for (const type of queueTypes) {
    sentences.prove(`x-max-length of a ${type} queue: the oldest go, and every publish is acked`, async (stage) => {
      const { client, queue } = await scene(stage, { 'x-max-length': int(3) }, type)
      await fill(client, queue, 'a', 'b', 'c', 'd', 'e')
      assert.deepEqual(await take(client, queue), ['c', 'd', 'e'])
    })

    sentences.prove(`x-max-length-bytes of a ${type} queue: the oldest go until the rest fits`, async (stage) => {
      const { client, queue } = await scene(stage, { 'x-max-length-bytes': int(25) }, type)
      await fill(client, queue, 'a'.repeat(10), 'b'.repeat(10), 'c'.repeat(5))
      assert.deepEqual(await counts(client, queue), [3, 0])
      await fill(client, queue, 'd'.repeat(11))
      assert.deepEqual(await take(client, queue), ['c'.repeat(5), 'd'.repeat(11)])
    })
  }

  sentences.prove('both limits hold together', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(2), 'x-max-length-bytes': int(10) })
    await fill(client, queue, 'a', 'b', 'c')
    assert.deepEqual(await counts(client, queue), [2, 0])
    await fill(client, queue, 'd'.repeat(10))
    assert.deepEqual(await take(client, queue), ['d'.repeat(10)])
  })

  sentences.prove('a message that alone is larger than x-max-length-bytes is dropped itself', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length-bytes': int(10) })
    await fill(client, queue, 'a', 'x'.repeat(11))
    assert.deepEqual(await take(client, queue), [])
    await fill(client, queue, 'b')
    assert.deepEqual(await take(client, queue), ['b'])
  })

  sentences.prove('x-max-length 0: a waiting consumer gets the message, else nobody does', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(0) })
    await fill(client, queue, 'nobody waits')
    assert.deepEqual(await take(client, queue), [])
    await client.call(1, 'basic.consume', { queue, noAck: true })
    await fill(client, queue, 'somebody waits')
    assert.equal(text(await client.expect(1, 'basic.deliver')), 'somebody waits')
  })

  sentences.prove('what drop-head drops is dead-lettered as maxlen, oldest first, for either limit', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    for (const limit of [{ 'x-max-length': int(1) }, { 'x-max-length-bytes': int(1) }]) {
      const queue = await declare(stage, client, { ...limit, ...dead.args })
      await fill(client, queue, 'a', 'b', 'c')
      const first = await dead.next()
      assert.deepEqual([text(first), death(deaths(first)[0])['reason']], ['a', 'maxlen'])
      assert.equal(text(await dead.next()), 'b')
      assert.deepEqual(await take(client, queue), ['c'])
    }
  })

  sentences.prove('a long run over the limit leaves exactly the newest', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(100) })
    const bodies = Array.from({ length: 1_500 }, (_, i) => String(i))
    await fill(client, queue, ...bodies)
    assert.deepEqual(await take(client, queue), bodies.slice(-100))
  })
}

function whatCounts(sentences: Sentences): void {
  sentences.prove('messages that consumers hold do not count', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(2) })
    await fill(client, queue, 'a', 'b')
    for (let i = 0; i < 2; i += 1) await client.get(1, queue, { noAck: false })
    await fill(client, queue, 'c', 'd')
    assert.deepEqual(await counts(client, queue), [2, 0])
    client.send(1, 'basic.ack', { deliveryTag: 2, multiple: true })
    assert.deepEqual(await take(client, queue), ['c', 'd'])
  })

  sentences.prove('what the end of a channel puts back counts all at once, whatever its tags', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { 'x-max-length-bytes': int(10), ...dead.args })
    await fill(client, queue, 'aa', 'bbb')
    await client.call(2, 'channel.open')
    for (let i = 0; i < 2; i += 1) await client.get(2, queue, { noAck: false })
    client.send(2, 'basic.nack', { deliveryTag: 1, requeue: true })
    assert.equal(text(await client.get(2, queue, { noAck: false })), 'aa', 'the first has the last tag')
    await fill(client, queue, 'c'.repeat(8))
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await dead.bodies(2), ['aa', 'bbb'])
    assert.deepEqual(await take(client, queue), ['c'.repeat(8)])
  })

  sentences.prove('what is put back counts again: the oldest go', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { 'x-max-length': int(2), ...dead.args })
    await fill(client, queue, 'a', 'b')
    for (let i = 0; i < 2; i += 1) await client.get(1, queue, { noAck: false })
    await fill(client, queue, 'c')
    client.send(1, 'basic.nack', { deliveryTag: 2, multiple: true, requeue: true })
    await worked(client)
    assert.equal(text(await dead.next()), 'a')
    assert.deepEqual(await take(client, queue), ['b', 'c'])
  })

  sentences.prove('what the end of a channel puts back counts all at once: the oldest go', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { 'x-max-length-bytes': int(10), ...dead.args })
    await fill(client, queue, 'aa', 'x', 'bbb')
    await client.call(2, 'channel.open')
    for (let i = 0; i < 3; i += 1) await client.get(2, queue, { noAck: false })
    client.send(2, 'basic.ack', { deliveryTag: 2 })
    await fill(client, queue, 'c'.repeat(8))
    await client.call(2, 'channel.close', { replyCode: 200 })
    assert.deepEqual(await dead.bodies(2), ['aa', 'bbb'])
    assert.deepEqual(await take(client, queue), ['c'.repeat(8)])
  })

  sentences.prove('of a message only its body counts, not its properties', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length-bytes': int(10) })
    const properties = { headers: { large: 'h'.repeat(1_000) }, messageId: 'm'.repeat(200) }
    await publishTo(client, queue, { body: '12345', properties }, { body: '67890', properties })
    assert.deepEqual(await take(client, queue), ['12345', '67890'])
  })

  sentences.prove('a body of several frames counts whole', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length-bytes': int(400_000) })
    const large = 'l'.repeat(300_000)
    await fill(client, queue, 'first', large, `${large}!`)
    assert.deepEqual(await counts(client, queue), [1, 0])
    assert.deepEqual(await take(client, queue), [`${large}!`])
  })

  sentences.prove('messages that went straight to a consumer do not count', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(1), ...rejecting })
    await client.call(1, 'basic.consume', { queue })
    for (const body of ['a', 'b', 'c']) await fill(client, queue, body)
    assert.deepEqual((await client.expectMany(1, 'basic.deliver', 3)).map(text), ['a', 'b', 'c'])
  })
}

function rejectPublish(sentences: Sentences): void {
  sentences.prove('reject-publish: a full queue nacks and keeps what it has', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(2), ...rejecting })
    const message = (body: string): { routingKey: string; body: string } => ({ routingKey: queue, body })
    assert.deepEqual(await publish(client, ...['a', 'b', 'c', 'd'].map(message)), ['ack', 'ack', 'nack', 'nack'])
    assert.equal(text(await client.get(1, queue)), 'a')
    assert.deepEqual(await publish(client, message('e'), message('f')), ['ack', 'nack'])
    assert.deepEqual(await take(client, queue), ['b', 'e'])
  })

  sentences.prove('reject-publish by bytes: only what would not fit is nacked', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length-bytes': int(10), ...rejecting })
    const bodies = ['123456', '12345', '1234', '']
    const outcomes = await publish(client, ...bodies.map((body) => ({ routingKey: queue, body })))
    assert.deepEqual(outcomes, ['ack', 'nack', 'ack', 'ack'])
    assert.deepEqual(await take(client, queue), ['123456', '1234', ''])
  })

  sentences.prove('reject-publish without confirms: the message is gone without a word', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(1), ...rejecting })
    for (const body of ['a', 'b']) client.publish(1, { routingKey: queue, body, mandatory: true })
    await worked(client)
    assert.deepEqual(await take(client, queue), ['a'])
  })

  sentences.prove(
    'reject-publish: one full queue of several is a nack, and the others keep their copy',
    async (stage) => {
      const { client, queue: full } = await scene(stage, { 'x-max-length': int(0), ...rejecting })
      const other = await declare(stage, client)
      const exchange = stage.name('x')
      await client.call(1, 'exchange.declare', { exchange, type: 'fanout', autoDelete: true })
      for (const queue of [full, other]) await client.call(1, 'queue.bind', { queue, exchange })
      assert.deepEqual(await publish(client, { exchange, body: 'a' }), ['nack'])
      assert.deepEqual(await take(client, other), ['a'])
      assert.deepEqual(await take(client, full), [])
    },
  )

  sentences.prove('reject-publish: nacks name no message that was taken', async (stage) => {
    const { client, queue: full } = await scene(stage, { 'x-max-length': int(0), ...rejecting })
    const open = await declare(stage, client)
    const kinds = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 'nack' : 'ack'))
    const publishes = kinds.map((kind) => ({ routingKey: kind === 'ack' ? open : full, body: kind }))
    assert.deepEqual(await publish(client, ...publishes), kinds)
    assert.deepEqual(await counts(client, open), [200, 0])
  })

  sentences.prove('reject-publish: nothing that is refused is dead-lettered', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const queue = await declare(stage, client, { 'x-max-length': int(0), ...rejecting, ...dead.args })
    assert.deepEqual(await publish(client, { routingKey: queue, body: 'a' }), ['nack'])
    await dead.none()
  })

  sentences.prove('reject-publish: what is put back may stand above the limit', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(1), ...rejecting })
    await fill(client, queue, 'a')
    await client.get(1, queue, { noAck: false })
    await fill(client, queue, 'b')
    client.send(1, 'basic.nack', { deliveryTag: 1, requeue: true })
    await worked(client)
    assert.deepEqual(await take(client, queue), ['a', 'b'])
  })

  sentences.own('reject-publish: a full queue confirms what it knows already', async (stage) => {
    const args = { 'x-max-length': int(1), 'x-message-deduplication': true, ...rejecting }
    const { client, queue } = await scene(stage, args)
    const message = { routingKey: queue, body: 'a', properties: { messageId: 'a' } }
    assert.deepEqual(await publish(client, message, message), ['ack', 'ack'])
    assert.deepEqual(await take(client, queue), ['a'])
  })

  sentences.prove('tx: a message that its queue refuses makes the commit fail with 406', async (stage) => {
    const { client, queue } = await scene(stage, { 'x-max-length': int(0), ...rejecting })
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    client.publish(2, { routingKey: queue, body: 'a' })
    client.send(2, 'tx.commit')
    await client.expectChannelClose(2, 406, 'PRECONDITION_FAILED - partial tx completion')
  })
}

function rejectPublishDlx(sentences: Sentences): void {
  sentences.prove('reject-publish-dlx: the new message is nacked and dead-lettered as maxlen', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const overflow = { 'x-overflow': 'reject-publish-dlx', 'x-max-length': int(1) }
    const queue = await declare(stage, client, { ...overflow, ...dead.args })
    const messages = ['a', 'b', 'c'].map((body) => ({ routingKey: queue, body }))
    assert.deepEqual(await publish(client, ...messages), ['ack', 'nack', 'nack'])
    const first = await dead.next()
    assert.deepEqual([text(first), death(deaths(first)[0])['reason']], ['b', 'maxlen'])
    assert.equal(text(await dead.next()), 'c')
    assert.deepEqual(await take(client, queue), ['a'])
  })

  sentences.prove('reject-publish-dlx without confirms: the new message is dead-lettered too', async (stage) => {
    const client = await stage.client()
    const dead = await deadLetters(stage, client)
    const overflow = { 'x-overflow': 'reject-publish-dlx', 'x-max-length': int(0) }
    const queue = await declare(stage, client, { ...overflow, ...dead.args })
    const properties = { messageId: 'm', headers: { mine: 1 } }
    client.publish(1, { routingKey: queue, body: 'a', properties })
    const letter = await dead.next()
    assert.deepEqual([text(letter), letter.properties['messageId']], ['a', 'm'])
  })
}
