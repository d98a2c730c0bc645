/**
 * Some nodes that compete for one replicated log, over a stream that misbehaves: the real replica and log code on simulated
 * disks, clocks and networks. Any seed is one life and repeats it exactly.
 *
 * Nobody holds a lease, so two or three may think at the same time that they own the log: what keeps them apart is the log.
 */
import assert from 'node:assert/strict'
import { ManualClock } from '../../src/base/clock.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { type FrameMark, openReplica } from '../../src/log/jetstream/replica.ts'
import { LogWentBack } from '../../src/log/log.ts'
import { SimulatedFiles } from '../support/simulated-files.ts'
import { manyFaults, noFaults, StreamModel } from '../support/stream-model.ts'
import { ReplicatedJudge } from './replicated-judge.ts'
import { logSizes, ReplicatedNode } from './replicated-node.ts'

const nodeCount = 3
/** Of the chain in a frame's header. */
const chainOffset = 76
/** Of the stream: so that it gets full, and so that it never does. */
const smallBytes = 80_000
const largeBytes = 1_000_000_000
/** A life that takes more steps hangs. */
const stepsMax = 60_000
/** Turns of the event loop without any work before time goes on by more than a millisecond. */
const quietTurns = 8

export class ReplicatedRun {
  readonly clock = new ManualClock()
  readonly judge = new ReplicatedJudge()
  readonly #random: SeededRandom
  readonly #model: StreamModel
  readonly #nodes: ReplicatedNode[]
  readonly #isLiar: boolean
  readonly #freshFiles: SimulatedFiles[] = []

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    const bytesMax = seed % 5 === 0 ? smallBytes : largeBytes
    this.#model = new StreamModel({ clock: this.clock, seed: seed + 1_000_000, bytesMax })
    this.#isLiar = seed % 7 === 0
    const faults = seed % 4 === 1 ? noFaults : manyFaults
    this.#nodes = Array.from(
      { length: nodeCount },
      (_, index) =>
        new ReplicatedNode({
          name: `n${index}`,
          model: this.#model,
          faults,
          clock: this.clock,
          random: new SeededRandom(seed * nodeCount + index),
          judge: this.judge,
        }),
    )
  }

  async run(): Promise<void> {
    const silences = this.#silences()
    await this.#drive(Promise.all(this.#nodes.map((node) => node.live())))
    await this.#drive(silences)
    this.#model.silentUntil = 0
    this.#model.isCalm = true
    this.#model.bytesMax = largeBytes
    await this.#drive(this.#checkEnd())
    if (this.#isLiar) await this.#drive(this.#checkLiar())
  }

  /** Lets turns of the event loop and time go by until the work is done. */
  async #drive(work: Promise<unknown>): Promise<void> {
    let isDone = false
    let error: unknown = null
    work.then(
      () => {
        isDone = true
      },
      (cause: unknown) => {
        isDone = true
        error = cause ?? new Error('failed')
      },
    )
    let quiet = 0
    let seen = -1
    for (let steps = 0; !isDone; steps++) {
      if (steps > stepsMax) throw new Error('the life does not end')
      await new Promise<void>((resolve) => setImmediate(resolve))
      const activity = this.#activity
      quiet = activity === seen ? quiet + 1 : 0
      seen = activity
      if (quiet >= quietTurns) {
        this.clock.advance(Math.max(1, Math.min(this.clock.nextDue - this.clock.now(), 60_000)))
        quiet = 0
      } else if (steps % 4 === 0) {
        this.clock.advance(1)
      }
    }
    if (error !== null) throw error
  }

  get #activity(): number {
    const own = this.#freshFiles.reduce((sum, files) => sum + files.calls, this.#model.calls)
    return this.#nodes.reduce((sum, node) => sum + node.activity, own)
  }

  /** Now and then the stream has no leader. */
  async #silences(): Promise<void> {
    for (let count = this.#random.below(4); count > 0; count--) {
      await new Promise<void>((resolve) => this.clock.after(this.#random.below(400), resolve))
      this.#model.fallSilent(this.#random.below(150))
    }
  }

  /** A node that never saw the log reads it. */
  async #checkEnd(): Promise<void> {
    const fresh = this.#fresh()
    const seen = this.judge.newReader()
    const replica = await openReplica({ ...fresh, listener: { record: seen.record, failed: () => {} } })
    await replica.caughtUp()
    this.judge.checkWhole(seen)
    const { highest } = this.judge
    await replica.verify(highest)
    const log = await replica.takeOver(1)
    await log.verify(highest)
    this.judge.checkWhole(await this.judge.replayed(log))
    await log.close()
    await replica.close()
  }

  /** The stream has lost its end: whoever knows of it notices. */
  async #checkLiar(): Promise<void> {
    const { highest } = this.judge
    const { ordinal } = highest
    if (ordinal < 0 || this.#model.last - this.#model.first < 4) return
    const remembering = this.#fresh()
    const before = await openReplica(remembering)
    await before.caughtUp()
    const known: FrameMark = before.lastCommitted
    await before.close()
    // Behind the last frame that counts there may be void ones.
    const sequence = sequenceOf(this.#model, known)
    this.#model.loseTail(this.#model.last - sequence + 1 + this.#random.below(3))
    this.judge.count('tails lost')

    await assert.rejects(openReplica(remembering), LogWentBack, 'a directory that holds what was lost')
    const replica = await openReplica(this.#fresh())
    if (this.#random.below(2) === 0) {
      await assert.rejects(replica.verify(known), LogWentBack, 'a replica that is told what there was')
      await replica.close()
      return
    }
    const log = await replica.takeOver(1)
    await assert.rejects(log.verify(known), LogWentBack, 'an owner that is told what there was')
    await log.close()
    await replica.close()
  }

  #fresh(): Omit<Parameters<typeof openReplica>[0], 'listener'> {
    const files = new SimulatedFiles({ hasJournal: false })
    this.#freshFiles.push(files)
    return {
      ...logSizes,
      stream: this.#model.connect(noFaults, 'fresh'),
      files,
      directory: '/fresh',
      clock: this.clock,
      random: this.#random,
    }
  }
}

function sequenceOf(model: StreamModel, { chain }: FrameMark): number {
  for (let sequence = model.last; sequence >= model.first; sequence--) {
    const bytes = model.at(sequence)?.bytes
    if (bytes !== undefined && new DataView(bytes.buffer, bytes.byteOffset).getUint32(chainOffset, true) === chain)
      return sequence
  }
  throw new Error('the frame is not in the stream')
}
