import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Message } from '../../../src/broker/message.ts'
import type { Member, Members } from '../../../src/cluster/members.ts'
import { PeerReplies } from '../../../src/cluster/peer-replies.ts'
import type { Peer, Peers, ServiceHandler } from '../../../src/cluster/peers.ts'

const secret = 'a secret of the cluster'

describe('direct replies between nodes', () => {
  it('come whole to the node that gave the name out, however large they are', () => {
    for (const bodyBytes of [0, 10, 256 * 1024 - 40, 1_500_000]) {
      const { a, b, got } = twoNodes()
      const name = a.nameOf('tokentoken')
      assert.ok(b.reaches(name))
      b.send('/', name, messageOf(bodyBytes))
      assert.equal(got.length, 1)
      const [vhost, given, body] = got[0] ?? []
      assert.deepEqual([vhost, given], ['/', name])
      assert.deepEqual(body, Buffer.alloc(bodyBytes, 'x').toString())
    }
  })

  it('are not for names of this node, forged ones, or ones of nodes that are gone', () => {
    const { a, b, links } = twoNodes()
    const name = a.nameOf('token')
    assert.ok(!a.reaches(name))
    const last = name.at(-1) === 'A' ? 'B' : 'A'
    for (const forged of [
      name.slice(0, -1) + last,
      name.replace('token', 'tokem'),
      name.replace('1.', '7.'),
      '',
      'x.y.z',
      `${name}.x`,
    ]) {
      assert.ok(!b.reaches(forged), forged)
    }
    const other = new PeerReplies({ members: membersOf(2), peers: links.of(2), secret: 'another secret' })
    assert.ok(!other.reaches(name))
    links.isUp = false
    assert.ok(!b.reaches(name))
  })

  it('are forgotten when the link goes down before all of them has come', () => {
    const { a, b, got, links } = twoNodes()
    links.piecesMax = 1
    b.send('/', a.nameOf('t'), messageOf(1_000_000))
    links.down()
    links.piecesMax = Number.POSITIVE_INFINITY
    b.send('/', a.nameOf('t'), messageOf(3))
    assert.deepEqual(
      got.map(([, , body]) => body),
      ['xxx'],
    )
  })
})

function messageOf(bodyBytes: number): Message {
  const message = new Message()
  message.buffer = Buffer.from(`..routecontent${'x'.repeat(bodyBytes)}`)
  message.routeStart = 2
  message.routeEnd = 7
  message.contentStart = 7
  message.contentEnd = message.buffer.length
  message.bodyBytes = bodyBytes
  return message
}

function twoNodes() {
  const links = new Links()
  const got: [string, string, string][] = []
  const a = new PeerReplies({ members: membersOf(1), peers: links.of(1), secret })
  const b = new PeerReplies({ members: membersOf(2), peers: links.of(2), secret })
  a.receive((vhost, name, message) => {
    const { buffer, routeStart, routeEnd, contentStart, contentEnd } = message
    assert.equal(Buffer.from(buffer.subarray(routeStart, routeEnd)).toString(), 'route')
    const content = Buffer.from(buffer.subarray(contentStart, contentEnd)).toString()
    assert.ok(content.startsWith('content'))
    assert.equal(content.length - 7, message.bodyBytes)
    got.push([vhost, name, content.slice(7)])
  })
  return { a, b, got, links }
}

function membersOf(incarnation: number): Members {
  const self = { name: `n${incarnation}`, incarnation }
  return {
    self,
    live: new Map<string, Member>(),
    isCurrent: true,
    listen: () => {},
    provedDead: () => {},
    setDraining: () => Promise.resolve(),
  }
}

/** Two nodes in one process: what one sends the other has. */
class Links {
  isUp = true
  piecesMax = Number.POSITIVE_INFINITY
  readonly #handlers = new Map<number, ServiceHandler>()
  readonly #peers = new Map<number, Peer>()

  of(incarnation: number): Peers {
    const other = this.#peer(3 - incarnation, incarnation)
    return {
      find: () => other,
      all: [other],
      serve: (_, handler) => this.#handlers.set(incarnation, handler),
    }
  }

  down(): void {
    for (const [incarnation, handler] of this.#handlers) {
      const peer = this.#peers.get(incarnation)
      if (peer !== undefined) handler.down(peer)
    }
  }

  /** `to` as `from` sees it. */
  #peer(to: number, from: number): Peer {
    const links = this
    const peer: Peer = {
      name: `n${to}`,
      incarnation: to,
      get isUp() {
        return links.isUp
      },
      isCongested: false,
      send: (_, bytes, start, end) => {
        if (links.piecesMax-- <= 0) return
        const sender = links.#peers.get(to)
        if (sender !== undefined) links.#handlers.get(to)?.message(sender, bytes.slice(start, end), 0, end - start)
      },
    }
    this.#peers.set(from, peer)
    return peer
  }
}
