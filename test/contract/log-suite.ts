/** What every `Log` does: the tests, for one kind of log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeededRandom } from '../../src/base/random.ts'
import { LogDamaged, type Position, type Segment } from '../../src/log/log.ts'
import {
  type Appended,
  type DrivenLog,
  LogDriver,
  load,
  recordBytes,
  replayed,
  replayedAll,
  until,
} from '../support/log-driver.ts'

export interface Kind {
  readonly name: string
  open(): Promise<DrivenLog>
  /** Opens again what was closed; null where nothing survives. */
  readonly reopen: ((log: DrivenLog) => Promise<DrivenLog>) | null
  readonly segmentBytes: number
  readonly recordBytesMax: number
  /** Random traces; each opens several logs. */
  readonly traces: number
}

export function suite(kind: Kind): void {
  const driven = async (): Promise<LogDriver> => new LogDriver(await kind.open())
  /** Appends records until `count` segments are sealed. */
  const fillSegments = async (driver: LogDriver, count: number, length = kind.recordBytesMax >> 3): Promise<void> => {
    while (driver.seals.length < count) {
      for (let index = 0; index < 8; index++) driver.append(recordBytes(driver.records.length, length))
      await driver.settle()
    }
  }

  test('gives ascending positions and reports commits later, at most one for a turn', async () => {
    const driver = await driven()
    for (let index = 0; index < 10; index++) driver.append(recordBytes(index, 10 + index))
    assert.deepEqual(driver.commits, [], 'nothing is reported during the call')
    assert.equal(driver.log.uncommittedBytes, 10 * 4 + 145)
    await driver.settle()
    assert.deepEqual(driver.commits, [driver.log.appended])
    assert.equal(driver.log.uncommittedBytes, 0)
    await driver.log.close()
  })

  test('shows a record from the moment it is written', async () => {
    const driver = await driven()
    for (const length of [0, 1, 100, kind.recordBytesMax]) {
      const position = driver.append(recordBytes(7, length))
      assert.deepEqual(driver.view(position), recordBytes(7, length))
    }
    await driver.settle()
    for (const { position, bytes } of driver.records) assert.deepEqual(await driver.read(position), bytes)
    await driver.log.close()
  })

  test('refuses a record that is longer than it may be', async () => {
    const driver = await driven()
    assert.throws(() => {
      // Where a page has room by chance, the next one has not.
      for (let index = 0; index < 4; index++) driver.log.reserve(kind.segmentBytes)
    }, /at most recordBytesMax/)
  })

  test('seals segments one after the other and keeps the last one open', async () => {
    const driver = await driven()
    await fillSegments(driver, 3)
    const { segments } = driver.log
    assert.deepEqual(
      driver.seals.map((segment) => segment.id),
      segments.slice(0, driver.seals.length).map((segment) => segment.id),
    )
    for (const [index, segment] of segments.entries()) {
      assert.equal(segment.isSealed, index < segments.length - 1)
      assert.equal(segment.base, index === 0 ? 0 : segments[index - 1]?.end)
      assert.equal(segment.id, (segments[0]?.id ?? 0) + index)
    }
    await driver.log.close()
  })

  test('replays each segment: the records that were appended, in order', async () => {
    const driver = await driven()
    await fillSegments(driver, 3)
    driver.append(recordBytes(1, 3))
    await driver.settle()
    assertSame(await replayedAll(driver.log), driver.records)
    await driver.log.close()
  })

  test('reads everything back, near and far, in any order', async () => {
    const driver = await driven()
    await fillSegments(driver, 9)
    const random = new SeededRandom(3)
    for (let reads = 0; reads < 300; reads++) {
      const { position, bytes } = pick(driver.records, random)
      assert.deepEqual(await driver.read(position), bytes)
    }
    await driver.log.close()
  })

  test('answers many loads at once, each with its record in memory', async () => {
    const driver = await driven()
    await fillSegments(driver, 9)
    const wanted = driver.records.filter((_, index) => index % 5 === 0)
    let answered = 0
    for (const { position, bytes } of wanted) {
      driver.log.load(position, (error) => {
        assert.equal(error, null)
        assert.deepEqual(driver.view(position), bytes, 'it is in memory when load calls back')
        answered++
      })
    }
    await until(() => answered === wanted.length)
    await driver.log.close()
  })

  test('gathers records from anywhere, the first of them promised', async () => {
    const driver = await driven()
    await fillSegments(driver, 9)
    const random = new SeededRandom(5)
    for (let round = 0; round < 20; round++) {
      const wanted = Array.from({ length: 1 + random.below(60) }, () => pick(driver.records, random))
      await gather(driver, wanted)
      for (const { position, bytes } of wanted) {
        const there = driver.view(position)
        if (there !== null) assert.deepEqual(there, bytes)
      }
    }
    await driver.log.close()
  })

  test('gathers for many at once, and beside loads', async () => {
    const driver = await driven()
    await fillSegments(driver, 9)
    const random = new SeededRandom(6)
    const some = (): Appended[] => Array.from({ length: 20 }, () => pick(driver.records, random))
    await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        if (index % 3 === 0) await load(driver.log, pick(driver.records, random).position)
        else await gather(driver, some())
      }),
    )
    const [freed] = driver.seals
    assert.ok(freed !== undefined)
    driver.log.free(freed)
    const left = driver.records.filter(({ position }) => !holds(freed, position))
    await gather(driver, [pick(left, random), ...some()])
    await driver.log.close()
  })

  test('says that a position is in no live segment', async () => {
    const driver = await driven()
    await fillSegments(driver, 2)
    const [first] = driver.log.segments
    assert.ok(first !== undefined)
    const { position } = driver.records[0] ?? { position: 0 }
    driver.log.free(first)
    await until(() => driver.view(position) === null || driver.log.committed >= driver.log.appended)
    await assert.rejects(load(driver.log, driver.log.appended + 100 * kind.segmentBytes), LogDamaged)
    await driver.log.close()
  })

  test('frees sealed segments in any order and keeps the others readable', async () => {
    const driver = await driven()
    await fillSegments(driver, 9)
    const gone = new Set<number>()
    for (const index of [5, 0, 7, 2]) {
      const segment = driver.seals[index]
      assert.ok(segment !== undefined)
      driver.log.free(segment)
      gone.add(segment.id)
      assert.ok(!driver.log.segments.includes(segment))
    }
    await fillSegments(driver, 14)
    const left = driver.records.filter(({ position }) =>
      driver.log.segments.some((segment) => holds(segment, position)),
    )
    assert.ok(left.length < driver.records.length)
    for (const { position, bytes } of left) assert.deepEqual(await driver.read(position), bytes)
    assertSame(await replayedAll(driver.log), left)
    assert.ok(
      driver.log.segments.every((segment) => !gone.has(segment.id)),
      'ids are not used again',
    )
    await driver.log.close()
  })

  test('keeps a digest beside a sealed segment, reads any part of it, and drops it with the segment', async () => {
    const driver = await driven()
    await fillSegments(driver, 2)
    const [first, second] = driver.seals
    assert.ok(first !== undefined && second !== undefined)
    assert.equal(await driver.log.readDigest(first, 0, 1), null, 'none yet')
    for (const length of [0, 5, 65_536, 200_000]) {
      const digest = recordBytes(length, length)
      await driver.log.writeDigest(first, digest)
      assert.deepEqual(await driver.log.readDigest(first, 0, length), digest)
      assert.equal(await driver.log.readDigest(first, 0, length + 1), null, 'beyond its end')
    }
    const digest = recordBytes(200_000, 200_000)
    for (const [offset, length] of [
      [65_535, 2],
      [65_536, 1],
      [131_071, 68_929],
      [199_999, 1],
      [70_000, 0],
    ] as const) {
      assert.deepEqual(await driver.log.readDigest(first, offset, length), digest.slice(offset, offset + length))
    }
    await driver.log.writeDigest(second, recordBytes(2, 100))
    driver.log.free(first)
    await fillSegments(driver, 5)
    assert.equal(await driver.log.readDigest(first, 0, 1), null)
    assert.deepEqual(await driver.log.readDigest(second, 0, 100), recordBytes(2, 100))
    await driver.log.close()
  })

  test('commits what was appended before it closes', async () => {
    const driver = await driven()
    const last = driver.append(recordBytes(1, 1000))
    await driver.log.close()
    assert.equal(driver.commits.at(-1), last)
    assert.throws(() => driver.append(recordBytes(2, 10)))
  })

  test('goes on from within its own reports', async () => {
    const driver = await driven()
    driver.onCommitted = () => {
      if (driver.records.length < 50) driver.append(recordBytes(driver.records.length, kind.recordBytesMax >> 2))
    }
    driver.onSealed = (segment) => driver.log.free(segment)
    driver.append(recordBytes(0, 10))
    await until(() => driver.commits.length === 50)
    assert.ok(driver.seals.length > 0)
    await driver.log.close()
  })

  if (kind.reopen !== null) {
    const { reopen } = kind
    test('opens again with everything that was appended, and goes on', async () => {
      const driver = await driven()
      await fillSegments(driver, 4)
      driver.log.free(driver.seals[1] as Segment)
      driver.append(recordBytes(9, 99))
      const left = driver.records.filter(({ position }) =>
        driver.log.segments.some((segment) => holds(segment, position)),
      )
      await driver.log.close()

      const again = new LogDriver(await reopen(driver.log))
      assertSame(await replayedAll(again.log), left)
      assert.ok(again.log.appended >= (left.at(-1)?.position ?? 0))
      assert.equal(again.log.committed, again.log.appended)
      const position = again.append(recordBytes(10, 50))
      assert.ok(position > driver.log.appended)
      await again.settle()
      for (const record of left) assert.deepEqual(await again.read(record.position), record.bytes)
      await again.log.close()
    })
  }

  test('does what a plain model does, whatever is asked of it in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(actionArbitrary, { minLength: 20, maxLength: 120 }), async (actions) => {
        await new Trace(kind, await kind.open()).run(actions)
      }),
      { numRuns: kind.traces, seed: 20_260_101 },
    )
  })
}

// ---- random traces against a model

type Action =
  | { readonly do: 'append'; readonly count: number; readonly share: number }
  | { readonly do: 'turn' | 'settle' | 'reopen' }
  | { readonly do: 'view' | 'load' | 'free' | 'replay' | 'digest'; readonly which: number }

const actionArbitrary: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 30 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('turn' as const, 'turn' as const, 'settle' as const, 'reopen' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'view' as const,
        'view' as const,
        'load' as const,
        'load' as const,
        'free' as const,
        'replay' as const,
        'digest' as const,
      ),
      which: fc.integer({ min: 0, max: 1_000_000 }),
    }),
  },
)

/** The model: the records of the live segments, and the digest of each. */
class Trace {
  readonly #kind: Kind
  #driver: LogDriver
  #records: Appended[] = []
  #digests = new Map<number, Uint8Array>()
  #count = 0

  constructor(kind: Kind, log: DrivenLog) {
    this.#kind = kind
    this.#driver = new LogDriver(log)
  }

  async run(actions: readonly Action[]): Promise<void> {
    for (const action of actions) await this.#step(action)
    await this.#driver.settle()
    assertSame(await replayedAll(this.#driver.log), this.#records)
    await this.#driver.log.close()
  }

  async #step(action: Action): Promise<void> {
    switch (action.do) {
      case 'append':
        return this.#append(action.count, action.share)
      case 'turn':
        return new Promise((resolve) => setImmediate(resolve))
      case 'settle':
        return this.#driver.settle()
      case 'reopen':
        return this.#reopen()
      case 'free':
        return this.#free(action.which)
      case 'digest':
        return this.#digest(action.which)
      case 'replay':
        return this.#replay(action.which)
      default:
        return this.#look(action.which, action.do === 'load')
    }
  }

  /** Mostly small records, sometimes the largest. */
  #append(count: number, share: number): void {
    const length = Math.floor(this.#kind.recordBytesMax * (share > 0.95 ? 1 : share * share * share))
    for (let index = 0; index < (length > 1000 ? Math.min(count, 4) : count); index++) {
      const bytes = recordBytes(this.#count++, length)
      this.#records.push({ position: this.#driver.append(bytes), bytes })
    }
  }

  async #reopen(): Promise<void> {
    if (this.#kind.reopen === null) return
    await this.#driver.log.close()
    this.#driver = new LogDriver(await this.#kind.reopen(this.#driver.log))
    assertSame(await replayedAll(this.#driver.log), this.#records)
  }

  async #look(which: number, isLoaded: boolean): Promise<void> {
    const record = this.#records[which % Math.max(1, this.#records.length)]
    if (record === undefined) return
    if (isLoaded) await load(this.#driver.log, record.position)
    assert.deepEqual(await this.#driver.read(record.position), record.bytes)
  }

  async #replay(which: number): Promise<void> {
    await this.#driver.settle()
    const segments = this.#driver.log.segments
    const segment = segments[which % segments.length]
    assert.ok(segment !== undefined)
    const expected = this.#records.filter(({ position }) => holds(segment, position))
    assertSame(await replayed(this.#driver.log, segment), expected)
  }

  #free(which: number): void {
    const sealed = this.#driver.log.segments.filter((segment) => segment.isSealed)
    const segment = sealed[which % Math.max(1, sealed.length)]
    if (segment === undefined) return
    this.#driver.log.free(segment)
    this.#records = this.#records.filter(({ position }) => !holds(segment, position))
    this.#digests.delete(segment.id)
  }

  async #digest(which: number): Promise<void> {
    const sealed = this.#driver.log.segments.filter((segment) => segment.isSealed)
    const segment = sealed[which % Math.max(1, sealed.length)]
    if (segment === undefined) return
    const old = this.#digests.get(segment.id)
    if (old !== undefined) assert.deepEqual(await this.#driver.log.readDigest(segment, 0, old.byteLength), old)
    const digest = recordBytes(which, which % 100_000)
    await this.#driver.log.writeDigest(segment, digest)
    this.#digests.set(segment.id, digest)
  }
}

// ---- small things

/** Resolves when the first of them has been seen in memory. */
function gather(driver: LogDriver, records: readonly Appended[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let isCallOver = false
    driver.log.gather(
      records.map(({ position }) => position),
      (error) => {
        assert.ok(isCallOver, 'gather never calls back at once')
        if (error !== null) return reject(error)
        const first = records[0]
        assert.deepEqual(driver.view(first?.position ?? 0), first?.bytes, 'the first is in memory')
        resolve()
      },
    )
    isCallOver = true
  })
}

function holds(segment: Segment, position: Position): boolean {
  return position >= segment.base && position < segment.end
}

function pick<T>(items: readonly T[], random: SeededRandom): T {
  const item = items[random.below(items.length)]
  assert.ok(item !== undefined)
  return item
}

/** Compares without building a message of megabytes. */
function assertSame(actual: readonly Appended[], expected: readonly Appended[]): void {
  assert.equal(actual.length, expected.length, 'as many records')
  for (const [index, record] of actual.entries()) {
    const other = expected[index]
    assert.ok(other !== undefined && record.position === other.position, `record ${index} has its position`)
    assert.ok(Buffer.compare(record.bytes, other.bytes) === 0, `record ${index} at ${record.position} has its bytes`)
  }
}
