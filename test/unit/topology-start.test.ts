/** A node of a cluster that waits until it knows what exists. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LogWentBack } from '../../src/log/log.ts'
import { StartError } from '../../src/start-error.ts'
import { TopologyStart } from '../../src/topology-start.ts'

const never = new Promise<void>(() => {})

describe('a start that waits for the topology', () => {
  it('goes on when it is there', async () => {
    const start = new TopologyStart()
    await start.following(Promise.resolve())
    await start.until(Promise.resolve(), new AbortController().signal)
  })

  it('ends when the copy in the data directory has more than the stream', async () => {
    const start = new TopologyStart()
    const waiting = start.until(never)
    const behind = new LogWentBack('the stream is behind; remove the copy')
    await assert.rejects(start.following(Promise.reject(behind)), behind)
    await assert.rejects(waiting, (error) => {
      assert.ok(error instanceof StartError && error.part === 'data-directory', String(error))
      assert.equal(error.message, behind.message)
      return true
    })
  })

  it('does not end for what may pass', async () => {
    const start = new TopologyStart()
    let ready = (): void => {}
    const waiting = start.until(
      new Promise<void>((resolve) => {
        ready = resolve
      }),
    )
    await assert.rejects(start.following(Promise.reject(new Error('no answer'))), /no answer/)
    ready()
    await waiting
  })

  it('ends when the node is told to stop, before or meanwhile', async () => {
    const stop = new AbortController()
    const waiting = new TopologyStart().until(never, stop.signal)
    stop.abort()
    for (const ending of [waiting, new TopologyStart().until(never, stop.signal)]) {
      await assert.rejects(ending, /stopped while it waited for the others/)
    }
  })
})
