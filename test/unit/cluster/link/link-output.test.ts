/** What a link still has to say when its connection breaks. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import { MemoryNetwork } from '../../../../src/base/memory-network.ts'
import type { Socket } from '../../../../src/base/network.ts'
import { defaultLinkLimits } from '../../../../src/cluster/link/link-limits.ts'
import { LinkOutput } from '../../../../src/cluster/link/link-output.ts'
import { services } from '../../../../src/cluster/peers.ts'

class HeldSocket {
  readonly writes: ((error: Error | null) => void)[] = []
  write(_bytes: Uint8Array, written: (error: Error | null) => void): void {
    this.writes.push(written)
  }
}

it('has nothing to say after a write that failed, and nobody who closes it waits', () => {
  const socket = new HeldSocket()
  const failures: string[] = []
  const owner = {
    outputWaiting: () => {},
    outputDrained: () => {},
    outputFailed: (reason: string) => void failures.push(reason),
  }
  const { arena } = new MemoryNetwork(new ManualClock())
  const output = new LinkOutput(socket as unknown as Socket, arena, defaultLinkLimits, owner)
  const say = (text: string): void => output.send(services.shards, Buffer.from(text), 0, text.length)
  say('one')
  output.flush()
  say('two')
  socket.writes[0]?.(new Error('broken'))
  assert.deepEqual(failures, ['the connection broke while it was written to: broken'])
  // The owner cuts the link in its next turn; before that it may be closed for another reason, and services may speak.
  say('three')
  output.heartbeat()
  let isEmpty = false
  output.whenEmpty(() => {
    isEmpty = true
  })
  output.flush()
  assert.deepEqual([isEmpty, output.waitingBytes, socket.writes.length], [true, 0, 1])
})
