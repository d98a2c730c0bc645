import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { RequestFailed, Requests, requestBytesMax } from '../../../../src/cluster/link/requests.ts'
import { type Peer, services } from '../../../../src/cluster/peers.ts'
import { introduce, LinkedNode, LinkWorld, turns } from '../../../support/cluster/linked-nodes.ts'
import { rejection } from '../../../support/eventually.ts'

interface Asker {
  readonly node: LinkedNode
  readonly requests: Requests
  readonly told: string[]
}

let world: LinkWorld
let a: Asker
let b: Asker
/** What b answers with. */
let answer: (question: string, peer: Peer) => Promise<string | Uint8Array> | string | Uint8Array

beforeEach(async () => {
  world = new LinkWorld()
  answer = (question) => `re: ${question}`
  a = await asker('a', 1)
  b = await asker('b', 2)
  introduce(a.node, b.node)
  await world.pass(500)
})

afterEach(async () => {
  await Promise.all([a.node.links.close(), b.node.links.close(), world.pass(1_100)])
  assert.deepEqual([...a.node.log.mistakes, ...b.node.log.mistakes], [])
})

async function asker(name: string, incarnation: number): Promise<Asker> {
  const node = new LinkedNode(name, incarnation, { network: world.network, clock: world.clock })
  const requests = new Requests({ peers: node.links, clock: world.clock, outstandingMax: 5 })
  const told: string[] = []
  requests.serve(services.management, {
    answer: async (peer, question) => bytesOf(await answer(Buffer.from(question).toString(), peer)),
    told: (peer, bytes, start, end) => void told.push(`${peer.name}: ${Buffer.from(bytes.subarray(start, end))}`),
    up: (peer) => void told.push(`up ${peer.name}`),
    down: (peer) => void told.push(`down ${peer.name}`),
  })
  await node.start()
  return { node, requests, told }
}

function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text) : text
}

function ask(text: string | Uint8Array, timeoutMs?: number): Promise<string> {
  const asked = a.requests.ask('b', services.management, bytesOf(text), timeoutMs)
  return asked.then((bytes) => Buffer.from(bytes).toString())
}

async function failure(asked: Promise<unknown>): Promise<RequestFailed> {
  const error = await rejection(asked)
  assert.ok(error instanceof RequestFailed, String(error))
  return error
}

describe('a request', () => {
  it('is answered, each with its own, in whatever order the answers come', async () => {
    let releaseFirst = (): void => {}
    answer = (question) => {
      if (question !== 'first') return `re: ${question}`
      return new Promise((resolve) => {
        releaseFirst = () => resolve('re: first')
      })
    }
    const first = ask('first')
    const second = ask('second')
    await turns()
    assert.equal(await second, 're: second')
    releaseFirst()
    await turns()
    assert.equal(await first, 're: first')
  })

  it('is refused with the sentence of the other node', async () => {
    answer = () => Promise.reject(new Error('the queue is not here'))
    const asked = failure(ask('where is it?'))
    await turns()
    const { failure: kind, message, isUnknown } = await asked
    assert.deepEqual(
      { kind, message, isUnknown },
      { kind: 'refused', message: 'the queue is not here', isUnknown: false },
    )
  })

  it('fails when there is no link, without being sent', async () => {
    const error = await failure(a.requests.ask('z', services.management, new Uint8Array()))
    assert.equal(error.failure, 'not-linked')
    assert.equal(error.isUnknown, false)
  })

  it('fails when no answer comes in time; a late one does no harm', async () => {
    let release = (): void => {}
    answer = (question) => {
      if (question !== 'slow') return 'quick'
      return new Promise((resolve) => {
        release = () => resolve('late')
      })
    }
    const asked = failure(ask('slow', 2_000))
    await world.pass(2_100)
    const error = await asked
    assert.equal(error.failure, 'timed-out')
    assert.equal(error.isUnknown, true)
    release()
    const next = ask('next')
    await turns()
    assert.equal(await next, 'quick')
  })

  it('fails when the link goes down first', async () => {
    answer = () => new Promise(() => {})
    const asked = failure(ask('never'))
    await turns()
    for (const link of [...a.node.links.all]) link.cut('a test says so')
    const error = await asked
    assert.equal(error.failure, 'link-down')
    assert.equal(error.isUnknown, true)
  })

  it('is not sent when too many wait, and is again when there is room', async () => {
    const release: (() => void)[] = []
    answer = () => new Promise((resolve) => void release.push(() => resolve('done')))
    const asked = Array.from({ length: 5 }, (_, index) => ask(`${index}`))
    const error = await failure(ask('one more'))
    assert.equal(error.failure, 'too-many')
    await turns()
    for (const one of release.splice(0)) one()
    await turns()
    assert.deepEqual(await Promise.all(asked), Array(5).fill('done'))
    const next = ask('again')
    await turns()
    release[0]?.()
    await turns()
    assert.equal(await next, 'done')
  })

  it('has a limit to its length, and so has its answer', async () => {
    assert.equal((await failure(ask(new Uint8Array(requestBytesMax + 1)))).failure, 'too-large')

    answer = () => new Uint8Array(requestBytesMax + 1)
    const asked = failure(ask('much'))
    await turns()
    assert.match((await asked).message, /the answer has 1048572 bytes; the limit is 1048571/)

    answer = () => new Uint8Array(requestBytesMax)
    const longest = a.requests.ask('b', services.management, new Uint8Array(requestBytesMax))
    await turns(100)
    assert.equal((await longest).length, requestBytesMax)
  })

  it('goes along with what is only told, in order, between up and down', async () => {
    const peer = a.node.peer('b')
    a.requests.tell(peer, services.management, Buffer.from('one'))
    const asked = ask('two')
    a.requests.tell(peer, services.management, Buffer.from('three'))
    await turns()
    await asked
    await a.node.links.close()
    await turns()
    assert.deepEqual(b.told, ['up a', 'a: one', 'a: three', 'down a'])
  })
})
