/** Parts of the command line alone: values as they are typed, tables, progress, failures, bodies. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { openBodies } from '../../../src/cli/client/bodies.ts'
import { failureOf } from '../../../src/cli/client/command-failure.ts'
import { messageJson } from '../../../src/cli/client/message-json.ts'
import { duration, Progress } from '../../../src/cli/client/progress.ts'
import { bytes } from '../../../src/cli/client/readable.ts'
import { streamOffset } from '../../../src/cli/client/stream-offset.ts'
import { compareCells, tableLines } from '../../../src/cli/client/table.ts'
import { typedTable } from '../../../src/cli/client/typed-value.ts'
import { connectionLost } from '../../../src/client/errors.ts'
import { loadConfig } from '../../../src/config.ts'

describe('NAME=VALUE', () => {
  it('has the type that it looks like', () => {
    const typed = (text: string): unknown => typedTable('--arg', [`k=${text}`])['k']
    assert.deepEqual(['5', '-3', '1.5', 'true', 'false', 'null', '"5"', '[1,"a"]', '{"a":null}'].map(typed), [
      5,
      -3,
      1.5,
      true,
      false,
      null,
      '5',
      [1, 'a'],
      { a: null },
    ])
    assert.deepEqual(['', 'text', '007', '1e3', '-', '5s', 'a=b', ' 5'].map(typed), [
      '',
      'text',
      '007',
      '1e3',
      '-',
      '5s',
      'a=b',
      ' 5',
    ])
    assert.equal(typed('9007199254740993'), 9007199254740993n)
    assert.equal(typed('-9223372036854775808'), -(2n ** 63n))
  })

  it('keeps the last of a name, and names that mean something to JavaScript', () => {
    assert.deepEqual({ ...typedTable('--arg', ['a=1', 'a=2']) }, { a: 2 })
    assert.deepEqual(Object.keys(typedTable('--arg', ['__proto__=1', 'constructor=2'])), ['__proto__', 'constructor'])
  })

  it('is refused with a sentence', () => {
    for (const [pair, sentence] of [
      ['a', /--arg 'a' is not NAME=VALUE/],
      ['=1', /--arg '=1' is not NAME=VALUE/],
      ['a={', /begins like JSON/],
      ['a=9223372036854775808', /does not fit 64 bits/],
      [`${'n'.repeat(129)}=1`, /longer than 128 bytes/],
    ] as const) {
      assert.throws(() => typedTable('--arg', [pair]), { message: sentence, exitCode: 2 })
    }
  })
})

describe('the place in a stream', () => {
  it('is a word, an offset, a moment or a span', () => {
    assert.deepEqual(['first', '17', '7D'].map(streamOffset), ['first', 17, '7D'])
    assert.deepEqual(streamOffset('2030-01-31T09:00:00Z'), new Date('2030-01-31T09:00:00Z'))
    for (const text of ['', 'begin', '-1', '1.5', '2030-13-01'])
      assert.throws(() => streamOffset(text), { exitCode: 2 })
  })
})

describe('a table', () => {
  it('has numbers to the right, texts to the left, and wide letters counted twice', () => {
    const lines = tableLines(
      ['name', 'ready', 'on'],
      [
        ['a', 5, true],
        ['訂單', 1000, false],
      ],
    )
    assert.deepEqual(lines, ['name  ready   on', 'a         5  yes', '訂單   1000'])
  })

  it('sorts numbers by value, and what is missing last', () => {
    assert.deepEqual([10, null, 9].sort(compareCells), [9, 10, null])
    assert.deepEqual(['b', 'a', null].sort(compareCells), ['a', 'b', null])
  })
})

describe('progress', () => {
  const watched = (isTTY: boolean, total: number | null) => {
    const clock = new ManualClock()
    const written: string[] = []
    const progress = new Progress({
      clock,
      what: 'sent',
      total,
      target: { isTTY, write: (text) => written.push(text) },
    })
    return { clock, written, progress }
  }

  it('says nothing in the first second, and cleans up on a terminal', () => {
    const { clock, written, progress } = watched(true, 4000)
    progress.at(500)
    clock.advance(999)
    assert.deepEqual(written, [])
    progress.at(1000)
    clock.advance(1)
    progress.end()
    assert.deepEqual(written, ['\r\x1b[Ksent 1,000 of 4,000, 1,000/s, 25 %, 3 s left', '\r\x1b[K'])
    clock.advance(10_000)
    assert.equal(written.length, 2)
  })

  it('writes a plain line now and then where there is no terminal', () => {
    const { clock, written, progress } = watched(false, null)
    progress.at(10)
    clock.advance(1_000)
    progress.at(60, 0.5)
    clock.advance(5_000)
    progress.end()
    assert.deepEqual(written, ['sent 10, 10/s\n', 'sent 60, 10/s, 50 %, 6 s left\n'])
  })

  it('reads well at every length', () => {
    assert.deepEqual([0.2, 61, 7_320].map(duration), ['1 s', '1 min 1 s', '2 h 2 min'])
    assert.deepEqual([0, 1023, 1536, 512 * 1024 * 1024].map(bytes), ['0 B', '1023 B', '1.5 KiB', '512 MiB'])
  })
})

describe('lines', () => {
  const read = async (chunks: readonly string[]): Promise<string[]> => {
    const stdin = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
    const source = { argument: undefined, file: undefined, isLines: true, count: 1, stdin }
    const bodies: string[] = []
    for await (const body of openBodies({ ...source, stop: new AbortController().signal }).read()) {
      bodies.push(Buffer.from(body).toString())
    }
    return bodies
  }

  it('are found wherever the chunks are cut', async () => {
    const text = 'one\r\ntwo\n\n\rthree\nlast'
    const wanted = ['one', 'two', '', '\rthree', 'last']
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const chunks = [text.slice(0, first), text.slice(first, second), text.slice(second)]
        assert.deepEqual(await read(chunks), wanted, `cut at ${first} and ${second}`)
      }
    }
  })

  it('need no end, and there may be none', async () => {
    assert.deepEqual(await read([]), [])
    assert.deepEqual(await read(['\n']), [''])
    assert.deepEqual(await read(['a\n']), ['a'])
  })
})

describe('a message as JSON', () => {
  it('has what JSON lacks as text', () => {
    const headers = { big: 2n ** 60n, small: 5n, when: new Date(0), raw: Uint8Array.of(1, 2), none: null }
    const delivery = { deliveryTag: 1, isRedelivered: true, exchange: 'e', routingKey: 'k', body: Uint8Array.of(0xff) }
    const json = JSON.parse(messageJson({ ...delivery, properties: { headers, timestamp: new Date(5_000) } })) as object
    assert.deepEqual(json, {
      exchange: 'e',
      routing_key: 'k',
      redelivered: true,
      properties: {
        timestamp: 5,
        headers: { big: '1152921504606846976', small: 5, when: '1970-01-01T00:00:00.000Z', raw: 'AQI=', none: null },
      },
      payload_bytes: 1,
      payload: '/w==',
      payload_encoding: 'base64',
    })
  })
})

describe('the environment', () => {
  it('may name a broker for the commands, and the broker itself passes that over', async () => {
    const environment = { WARREN_URL: 'amqp://h', WARREN_HTTP: 'http://h' }
    const sources = { file: null, flags: new Map<string, string>(), environment, readText: () => '' }
    assert.deepEqual((await loadConfig(sources)).warnings, [])
  })
})

describe('a failure', () => {
  it('of the client says what somebody at a prompt can do', () => {
    const { message, exitCode } = failureOf(connectionLost('amqp://h:1', new Error('ECONNRESET')))
    assert.equal(exitCode, 6)
    assert.match(message, /^the connection to amqp:\/\/h:1 was lost \(ECONNRESET\); .*run the command again$/)
  })

  it('of our own is named as such, on one line', () => {
    const { message, exitCode } = failureOf(new TypeError('x is not a function'))
    assert.equal(exitCode, 1)
    assert.equal(message, 'something that must not happen: x is not a function; please report it')
  })
})
