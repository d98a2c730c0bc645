/** What a person is told when a node cannot start: by real errors of the system. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { StartError } from '../../src/start-error.ts'
import { asStartError } from '../../src/start-failure.ts'

describe('a node that cannot start', () => {
  it('names the port for other nodes that is taken, and does not blame the directory', async () => {
    const first = createServer().listen(0, '127.0.0.1')
    await once(first, 'listening')
    const address = first.address()
    assert.ok(address !== null && typeof address !== 'string')
    const [error] = await once(createServer().listen(address.port, '127.0.0.1'), 'error').catch((thrown) => [thrown])
    first.close()
    assert.equal(
      sentence(error),
      `cannot listen for the other nodes (listen EADDRINUSE: address already in use 127.0.0.1:${address.port}); ` +
        'stop what listens there, or give this node another port, in --peers of all nodes or by cluster-port',
    )
  })

  it('names a directory that cannot be used', () => {
    assert.throws(
      () => openSync('/proc/nowhere/file', 'w'),
      (error) => {
        assert.match(sentence(error), /^the data directory \/data cannot be used \(ENOENT.*\); see that it is a local/)
        return true
      },
    )
  })

  it('leaves mistakes of ours as they are', () => {
    const mistake = new TypeError('x is not a function')
    assert.equal(asStartError(mistake, '/data'), mistake)
  })
})

function sentence(error: unknown): string {
  const told = asStartError(error, '/data')
  assert.ok(told instanceof StartError)
  return told.message
}
