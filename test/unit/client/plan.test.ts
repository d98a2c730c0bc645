/** Plans against a driver whose answers the test gives: what the broker says, word for word. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { channelClosed, connectionClosed, type WarrenError } from '../../../src/client/errors.ts'
import { apply, plan } from '../../../src/client/plan.ts'
import { rejection } from '../../support/eventually.ts'
import { type FakeClient, fakeClient } from './fake-client.ts'

interface Scripted extends FakeClient {
  /** What was asked for, in order. */
  readonly asked: string[]
}

/** Each operation takes the next answer for its name, if there is one; then it succeeds. */
async function scripted(answers: Readonly<Record<string, readonly WarrenError[]>>): Promise<Scripted> {
  const fake = await fakeClient()
  const asked: string[] = []
  const left = new Map(Object.entries(answers).map(([what, errors]) => [what, [...errors]]))
  fake.driver.operation = (what) => {
    asked.push(what)
    const error = left.get(what)?.shift()
    if (error !== undefined) throw error
  }
  return { ...fake, asked }
}

function refused(replyCode: number, replyText: string): WarrenError {
  return channelClosed(replyCode, replyText, 'it')
}

function differs(name: string, received: string, current: string): WarrenError {
  const text = `inequivalent arg '${name}' for queue 'q' in vhost '/': received ${received} but current is ${current}`
  return refused(406, `PRECONDITION_FAILED - ${text}`)
}

describe('a plan', () => {
  it('asks again with what exists, until the broker has nothing against it', async () => {
    const { client, asked } = await scripted({
      'declare queue q': [
        differs('durable', "'true'", "'false'"),
        differs('x-max-length', 'none', "the value '5' of type 'signedint'"),
        differs('x-overflow', "the value 'drop-head' of type 'longstr'", 'none'),
      ],
    })
    const [item] = (await plan(client, [client.queue('q', { overflow: 'drop-head' })])).items
    assert.ok(item?.state === 'differs')
    assert.deepEqual(item.differences, [
      { name: 'durable', current: 'false', wanted: 'true' },
      { name: 'x-max-length', current: '5', wanted: null },
      { name: 'x-overflow', current: null, wanted: 'drop-head' },
    ])
    assert.deepEqual(asked, ['check queue q', ...new Array(4).fill('declare queue q')])
  })

  it('ends when a broker says the same thing twice', async () => {
    const same = differs('x-odd', "'1'", "'2'")
    const { client, asked } = await scripted({ 'declare queue q': [same, same, same, same] })
    const [item] = (await plan(client, [client.queue('q')])).items
    assert.ok(item?.state === 'differs')
    assert.equal(item.differences.length, 1)
    assert.equal(asked.length, 3)
  })

  it('finds so many differences and no more', async () => {
    const many = Array.from({ length: 100 }, (_, index) => differs(`x-${index}`, "'1'", "'2'"))
    const { client } = await scripted({ 'declare queue q': many })
    const [item] = (await plan(client, [client.queue('q')])).items
    assert.ok(item?.state === 'differs')
    assert.equal(item.differences.length, 32)
  })

  it('cannot tell what the user may not configure, or what the broker does not know', async () => {
    const { client } = await scripted({
      'declare queue q': [refused(403, 'ACCESS_REFUSED - no right')],
      'declare exchange e': [connectionClosed(503, "COMMAND_INVALID - unknown exchange type 'x'", 'fake')],
    })
    const found = await plan(client, [client.queue('q'), client.exchange('e', { type: 'x' })])
    assert.deepEqual(
      found.items.map((item) => item.state === 'unknown' && item.reason),
      [
        'the broker does not say (403 ACCESS_REFUSED - no right)',
        "the broker does not say (503 COMMAND_INVALID - unknown exchange type 'x')",
      ],
    )
    assert.equal(found.isDone, true)
  })

  it('knows of a queue that is exclusive and should not be', async () => {
    const text =
      "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."
    const { client } = await scripted({ 'declare queue q': [refused(405, text)] })
    const found = await plan(client, [client.queue('q')])
    assert.match(String(found), /^~ queue 'q': exclusive is true, wanted false\n/)
  })

  it('rejects when the broker goes away', async () => {
    const gone = connectionClosed(320, 'CONNECTION_FORCED - shutdown', 'fake')
    const { client } = await scripted({ 'check queue q': [gone] })
    assert.equal(await rejection(plan(client, [client.queue('q')])), gone)
  })
})

describe('applying a plan', () => {
  const different = differs('x-max-length', 'none', "the value '5' of type 'signedint'")

  it('does not ask RabbitMQ to delete a quorum queue on condition, which would end the connection', async () => {
    const { client, driver, asked } = await scripted({ 'declare queue q': [different] })
    driver.isWarren = false
    const error = await rejection(apply(client, [client.queue('q', { type: 'quorum' })], { replace: 'empty' }))
    assert.match(error.message, /does not delete a quorum queue on condition that it is empty\. Delete it yourself\./)
    assert.ok(!asked.includes('delete queue q'))
  })

  it('stops when a message has come in the meantime', async () => {
    const { client, asked } = await scripted({
      'declare queue q': [different],
      'delete queue q': [refused(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty")],
    })
    const error = await rejection(apply(client, [client.queue('q')], { replace: 'empty' }))
    assert.match(error.message, /not empty/)
    assert.equal(asked.at(-1), 'delete queue q')
  })
})
