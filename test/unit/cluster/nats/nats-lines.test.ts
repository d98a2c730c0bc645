/** Lines of a nats-server that come again and again. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import type { Logger } from '../../../../src/base/logger.ts'
import { NatsLines } from '../../../../src/cluster/nats/nats-lines.ts'

class World {
  readonly clock = new ManualClock()
  readonly said: string[] = []
  readonly logger: Logger = {
    debug: (_, text) => this.said.push(`debug ${text}`),
    info: (_, text) => this.said.push(`info ${text}`),
    warn: (fields, text) => this.said.push(`warn ${text} ${JSON.stringify(fields)}`),
    error: (_, text) => this.said.push(`error ${text}`),
  }
  readonly lines = new NatsLines(this)
}

describe('warnings of a nats-server', () => {
  it('are said once a minute each, with how often they came', () => {
    const { lines, said, clock } = new World()
    for (let attempt = 1; attempt <= 59; attempt++) {
      for (const port of [6001, 6002]) lines.say('warn', `no route (attempt ${attempt}): dial tcp 10.0.0.2:${port}`)
      clock.advance(1_000)
    }
    assert.deepEqual(said, [
      'warn no route (attempt 1): dial tcp 10.0.0.2:6001 {"nats":true}',
      'warn no route (attempt 1): dial tcp 10.0.0.2:6002 {"nats":true}',
    ])
    clock.advance(1_000)
    lines.say('warn', 'no route (attempt 60): dial tcp 10.0.0.2:6001')
    assert.equal(said.at(-1), 'warn no route (attempt 60): dial tcp 10.0.0.2:6001 {"nats":true,"unsaid":58}')
  })

  it('are the same whatever port whoever connects was given', () => {
    const { lines, said } = new World()
    for (const port of [50_001, 50_002]) {
      lines.say('warn', `10.0.0.2:${port} - rid:${port} - Slow Consumer Detected`)
      lines.say(
        'warn',
        `10.0.0.2:6001 - rid:7 - Error flushing: writev tcp 10.0.0.1:${port}->10.0.0.2:6001: broken pipe`,
      )
    }
    assert.equal(said.length, 2)
  })

  it('are forgotten when there are too many others, and come anew', () => {
    const { lines, said } = new World()
    for (let key = 0; key < 257; key++) lines.say('warn', `line ${key}`)
    lines.say('warn', 'line 256')
    assert.equal(said.length, 257)
    lines.say('warn', 'line 0')
    assert.equal(said.length, 258)
  })

  it('hold back no errors', () => {
    const { lines, said } = new World()
    for (let time = 0; time < 3; time++) lines.say('error', 'no room')
    assert.deepEqual(said, Array(3).fill('error no room'))
  })
})
